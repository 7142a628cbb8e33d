"""What every request but those for content passes on its way in and out.

- Only uploads may be of any size; any other body is bounded.
- A page on another site must not make a visitor's browser change things here. Browsers say where a request
  comes from; programs don't, and are not meant. To what they trust (https, loopback) browsers send
  Sec-Fetch-Site (https://www.w3.org/TR/fetch-metadata/), to plain http elsewhere only Origin, which then
  has to name the host that was asked. So decides Go, too (net/http, CrossOriginProtection).
- A request that was answered in the middle of its body is read on for a while. Else the connection would be
  reset while the client is still sending, and it would report that in place of our sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.shared.errors import TooLargeError
from services.shared.telemetry import Counter
from services.web.problems import MEDIA_TYPE, Problem, problem_of

MAX_BODY_BYTES: Final = 64 << 10
"""Of any request, unless an application says otherwise."""

_LINGER_S: Final = 10.0
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ANSWERS: Final = Counter(
    "tritontube_http_answers_total", "Answers to all but players, by status.", ["status"]
)
_NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")


class Guard:
    """Wraps an application; `body_limit` says for a path how many bytes it takes, None being any number."""

    def __init__(self, app: ASGIApp, *, body_limit: Callable[[str], int | None]) -> None:
        self._app = app
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._body_limit(scope["path"]))
        await self._admit(scope, body, _outgoing(send))
        if scope["method"] not in _SAFE:
            await body.linger()

    async def _admit(self, scope: Scope, body: _Body, send: Send) -> None:
        headers = dict(scope["headers"])
        if scope["method"] not in _SAFE and is_foreign(headers):
            refusal = Problem(status=HTTPStatus.FORBIDDEN, detail="Other sites may not change anything here.")
            await _respond(refusal, scope, body, send)
            return
        try:
            body.expect(headers.get(b"content-length", b""))
        except TooLargeError as error:
            await _respond(problem_of(error), scope, body, send)
            return
        await self._app(scope, body.receive, send)


def is_foreign(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request was made by a browser for a page of another site.

    Args:
        headers: of the request, by their names in small letters.
    """
    if site := headers.get(b"sec-fetch-site"):
        return site == b"cross-site"
    origin = headers.get(b"origin")
    if origin is None:
        return False
    # The scheme is left out: behind a proxy that speaks TLS it is another than the one that is spoken here.
    _, _, host = origin.partition(b"://")
    return not host or host.lower() != headers.get(b"host", b"").lower()


class _Body:
    """The body of one request: counted, and read to its end if need be."""

    def __init__(self, receive: Receive, limit_bytes: int | None) -> None:
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._received_bytes = 0
        self._ended = False

    def expect(self, content_length: bytes) -> None:
        """Look at the announced length."""
        self._check(int(content_length) if content_length.isdigit() else 0)

    async def receive(self) -> Message:
        """Pass on the next message."""
        message = await self._receive()
        self._ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
        self._received_bytes += len(message.get("body", b""))
        self._check(self._received_bytes)
        return message

    async def linger(self) -> None:
        """Read what the client still sends, but not for ever."""
        self._limit_bytes = None
        try:
            async with asyncio.timeout(_LINGER_S):
                while not self._ended:
                    await self.receive()
        except TimeoutError:
            return

    def _check(self, size_bytes: int) -> None:
        if self._limit_bytes is not None and size_bytes > self._limit_bytes:
            raise TooLargeError(f"A request of this kind has at most {self._limit_bytes} bytes.")


async def _respond(problem: Problem, scope: Scope, body: _Body, send: Send) -> None:
    response = Response(
        problem.encode(), int(problem.status), headers=dict(problem.headers), media_type=MEDIA_TYPE
    )
    await response(scope, body.receive, send)


def _outgoing(send: Send) -> Send:
    """A `send` that counts answers, and forbids browsers to guess content types."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            _ANSWERS.labels(message["status"]).inc()
            message["headers"] = [*message.get("headers", ()), _NO_SNIFFING]
        await send(message)

    return wrapped
