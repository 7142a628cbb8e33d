"""Finding a copy of a file, and being sure when there is none.

Any sound copy will do, so the first node that has one wins. "Not found" is the opposite of that: it takes two
passes in which every node that might have a copy said no, and a ring that, read from a majority of etcd
afterwards, is still the one whose nodes were asked. As long as one of them is out of reach, nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from services.shared.content.hedge import Hedge
from services.shared.errors import (
    CorruptFileError,
    NotFoundError,
    RequestError,
    TritonTubeError,
    UnavailableError,
)
from services.shared.ring.view import RingView

_PASSES: Final = 2
_DEADLINE_S: Final = 10.0
_MAX_PAUSE_S: Final = 1.0

T = TypeVar("T")

Ask = Callable[[str], Coroutine[Any, Any, T | None]]
"""Asks one node. None: it says that it has no copy."""


class Ring(Protocol):
    """What is needed of `Topology`."""

    @property
    def view(self) -> RingView:
        """The newest view known."""

    async def refresh(self) -> RingView:
        """One that a majority of etcd vouches for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found(Generic[T]):
    """A copy."""

    answer: T
    without: frozenset[str]
    """Nodes that said that they have none, or found theirs damaged."""


class Search(Generic[T]):
    """Asks the nodes that may have a copy of one file.

    Args:
        ring: where they are.
        key: of the file.
        ask: one node.
        discard: lets go of an answer that came too late to win.
        avoid: a node to ask last.
        deadline_s: for repeating what failed because somebody was out of reach.
        hedge: how long a node is waited for before the next one is asked, too.
    """

    def __init__(
        self,
        ring: Ring,
        key: str,
        *,
        ask: Ask[T],
        discard: Callable[[T], None] = lambda _: None,
        avoid: str = "",
        deadline_s: float = _DEADLINE_S,
        hedge: Hedge | None = None,
    ) -> None:
        self._ring = ring
        self._key = key
        self._ask = ask
        self._discard = discard
        self._avoid = avoid
        self._deadline_s = deadline_s
        self._hedge = hedge or Hedge()

    async def run(self) -> Found[T]:
        """Find a copy, or give up after the deadline.

        Raises:
            NotFoundError: there is none, proved.
            RequestError: a node refused the question itself.
            UnavailableError: none was found, and a node that may have one is out of reach.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(UnavailableError),
            wait=wait_random_exponential(multiplier=0.1, max=_MAX_PAUSE_S),
            stop=stop_after_delay(self._deadline_s),
            reraise=True,
        )
        return await retrying(self._try)

    async def _try(self) -> Found[T]:
        view = self._ring.view
        order = sorted(view.read_order(self._key), key=lambda node: node == self._avoid)
        for _ in range(_PASSES):
            found = await _Pass(self._ask, self._discard, order, self._hedge).run()
            if found:
                return found
        if not order or (await self._ring.refresh()).epoch != view.epoch:
            raise UnavailableError(f"The ring changed while {self._key} was looked for.")
        raise NotFoundError(f"There is no file {self._key}.")


@dataclass
class _Pass(Generic[T]):
    """Asks every node once, one after the other, and the next one already when an answer takes long."""

    ask: Ask[T]
    discard: Callable[[T], None]
    order: Sequence[str]
    hedge: Hedge = field(default_factory=Hedge)
    asking: dict[asyncio.Task[T | None], str] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)
    silent: TritonTubeError | None = None

    async def run(self) -> Found[T] | None:
        """Return the first copy. None: every node said that it has none."""
        try:
            for node in self.order:
                self.asking[asyncio.create_task(self._timed(node))] = node
                if found := await self._answers(timeout_s=self.hedge.delay_s):
                    return found
            while self.asking:
                if found := await self._answers(timeout_s=None):
                    return found
        finally:
            await self._let_go()
        if self.silent:
            raise UnavailableError(f"Not every node could be asked. {self.silent}") from self.silent
        return None

    async def _timed(self, node: str) -> T | None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await self.ask(node)
        self.hedge.note(loop.time() - began)
        return answer

    async def _answers(self, *, timeout_s: float | None) -> Found[T] | None:
        """Wait for the next answers, or until it is time to ask one more node."""
        done, _ = await asyncio.wait(self.asking, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            node = self.asking.pop(task)
            try:
                answer = task.result()
            except RequestError:
                raise
            except TritonTubeError as error:
                self.silent = error
                if isinstance(error, CorruptFileError):
                    self.without.add(node)
                continue
            if answer is not None:
                return Found(answer=answer, without=frozenset(self.without))
            self.without.add(node)
        return None

    async def _let_go(self) -> None:
        """Stop what is still being asked; an answer that came nevertheless is discarded."""
        for task in self.asking:
            task.cancel()
        for answer in await asyncio.gather(*self.asking, return_exceptions=True):
            if answer is not None and not isinstance(answer, BaseException):
                self.discard(answer)
