"""One request, however many attempts: over all endpoints, each with a short deadline, within a total one.

An attempt gets about a second: a put sent to a follower whose leader just died hangs for seven, while the
next member would answer at once. After each round over all endpoints the time doubles, so that a cluster that
is merely slow is served too.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from grpc.aio import AioRpcError
from tenacity import AsyncRetrying, retry_if_exception, stop_before_delay, wait_random_exponential

from services.shared.errors import AmbiguousError, UnavailableError
from services.shared.etcd.endpoints import Endpoint, EndpointPool, Stubs
from services.shared.etcd.failures import AttemptError, Verdict, as_error, judge

Response = TypeVar("Response")
Metadata = tuple[tuple[str, str], ...]

# With it, a member that knows no leader refuses at once, before any work, instead of letting the request
# hang; and ends a watch that would be silent for ever.
_NEEDS_LEADER = ("hasleader", "true")

_SAFE = frozenset({Verdict.NOT_DONE, Verdict.STALE_TOKEN})
_PASSING = _SAFE | {Verdict.UNKNOWN}


class TokenSource(Protocol):
    """Where the token of a call comes from."""

    async def token(self) -> str | None:
        """Return a token, logging in if there is none; None when calls go without."""

    def expired(self, token: str) -> None:
        """Hear that etcd refused `token`."""


class NoTokens:
    """For clusters without authentication, and for logging in itself."""

    async def token(self) -> str | None:
        """Return None: calls go without a token."""
        return None

    def expired(self, token: str) -> None:
        """Do nothing: there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How long to try."""

    attempt_timeout_s: float = 1.0
    """For one endpoint to answer, in the first round."""
    deadline_s: float = 15.0
    """For the whole request, all attempts together. An election takes 1 to 3 s."""

    def attempt(self, number: int, *, endpoints: int, left_s: float) -> float:
        """Return the seconds that attempt `number` (from 1) may take, `left_s` before the deadline."""
        rounds_done = min((number - 1) // endpoints, 10)
        return max(0.0, min(self.attempt_timeout_s * 2.0**rounds_done, left_s))


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """An endpoint that is connected, and what one attempt on it has."""

    stubs: Stubs
    metadata: Metadata
    timeout_s: float


Send = Callable[[Connection], Awaitable[Response]]


def unary(select: Callable[[Stubs], Callable[..., Awaitable[Response]]], request: Any) -> Send[Response]:
    """Return how to send one of etcd's plain calls, e.g. `unary(lambda stubs: stubs.kv.Put, request)`."""

    async def send(to: Connection) -> Response:
        return await select(to.stubs)(request, timeout=to.timeout_s, metadata=to.metadata)

    return send


class Caller:
    """Sends requests to whichever endpoint answers."""

    def __init__(self, pool: EndpointPool, timing: Timing, tokens: TokenSource) -> None:
        self.pool = pool
        self.timing = timing
        self._tokens = tokens

    async def repeat(
        self, send: Send[Response], *, needs_leader: bool = True, deadline_s: float | None = None
    ) -> Response:
        """Send a request that may take effect twice, until it is answered.

        Raises:
            UnavailableError: no answer within the deadline; a write may have been applied.
            RequestError: etcd refused the request itself.
        """
        deadline_s = self.timing.deadline_s if deadline_s is None else deadline_s
        try:
            return await self._attempts(send, deadline_s, repeat_on=_PASSING, needs_leader=needs_leader)
        except AttemptError as error:
            raise UnavailableError(f"etcd: no answer in {deadline_s:.1f} s; last: {error}") from error

    async def once(self, send: Send[Response]) -> Response:
        """Send a request that must not take effect twice: repeated only while it was surely not done.

        Raises:
            AmbiguousError: it was cut off and may have been applied: read before deciding.
            UnavailableError: it was not applied, nobody took it within the deadline.
            RequestError: etcd refused the request itself.
        """
        try:
            return await self._attempts(send, self.timing.deadline_s, repeat_on=_SAFE, needs_leader=True)
        except AttemptError as error:
            if error.verdict is Verdict.UNKNOWN:
                raise AmbiguousError(f"etcd: cut off, outcome unknown: {error}") from error
            raise UnavailableError(
                f"etcd: no answer in {self.timing.deadline_s:.1f} s; last: {error}"
            ) from error

    @asynccontextmanager
    async def attempt(
        self, *, timeout_s: float, needs_leader: bool = True, endpoint: Endpoint | None = None
    ) -> AsyncIterator[Connection]:
        """Connect to an endpoint (the current one if not told) for one attempt; learn from how it fails.

        Raises:
            AttemptError: the attempt failed in a way that passes; the next one goes elsewhere, or logs in.
            TritonTubeError: a final answer.
        """
        endpoint = endpoint or self.pool.current
        token = await self._tokens.token()
        end = get_running_loop().time() + timeout_s
        try:
            with _judged(endpoint):
                await endpoint.connected(timeout_s=timeout_s)
                left_s = end - get_running_loop().time()
                metadata = _metadata(token, needs_leader=needs_leader)
                yield Connection(stubs=endpoint.stubs, metadata=metadata, timeout_s=left_s)
        except AttemptError as error:
            self._learn(endpoint, token, error)
            raise

    async def _attempts(
        self, send: Send[Response], deadline_s: float, *, repeat_on: frozenset[Verdict], needs_leader: bool
    ) -> Response:
        end = get_running_loop().time() + deadline_s
        async for attempt in _retrying(repeat_on, deadline_s):
            with attempt:
                timeout_s = self.timing.attempt(
                    attempt.retry_state.attempt_number,
                    endpoints=len(self.pool.endpoints),
                    left_s=end - get_running_loop().time(),
                )
                async with self.attempt(timeout_s=timeout_s, needs_leader=needs_leader) as connection:
                    return await send(connection)
        raise AssertionError("the last failure is re-raised")

    def _learn(self, endpoint: Endpoint, token: str | None, error: AttemptError) -> None:
        if error.verdict is not Verdict.STALE_TOKEN:
            self.pool.move_on(endpoint)
        elif token is not None:
            self._tokens.expired(token)


def _retrying(repeat_on: frozenset[Verdict], deadline_s: float) -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception(lambda e: isinstance(e, AttemptError) and e.verdict in repeat_on),
        stop=stop_before_delay(deadline_s),
        wait=wait_random_exponential(multiplier=0.02, max=0.5),
        reraise=True,
    )


@contextmanager
def _judged(endpoint: Endpoint) -> Iterator[None]:
    """Turn gRPC's errors into ours: `AttemptError` for those that pass, public ones for final answers."""
    try:
        yield
    except AioRpcError as error:
        code, details = error.code(), error.details() or ""
        verdict = judge(code, details)
        if verdict is Verdict.FINAL:
            raise as_error(code, details) from error
        raise AttemptError(verdict, f"{endpoint.name}: {details or code.name}") from error


def _metadata(token: str | None, *, needs_leader: bool) -> Metadata:
    """Return what goes beside a request; etcd's name for the token is `token`."""
    with_token: Metadata = (("token", token),) if token is not None else ()
    return (*with_token, _NEEDS_LEADER) if needs_leader else with_token
