"""Is a server there? Asked often while a stack starts, so with as little machinery as possible."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

_TIMEOUT_S: Final = 2.0
_ANSWER_BYTES: Final = 64 << 10
_OK: Final = range(200, 300)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server said to a GET."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.status in _OK


async def accepts(address: str) -> bool:
    """Whether something accepts connections at `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def get(address: str, path: str) -> Answer | None:
    """Ask for `http://address/path`; None if there was no answer in HTTP."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
                return _parse(await _read_all(reader))
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    """Until the server closes, or enough was said to know."""
    raw = b""
    while len(raw) < _ANSWER_BYTES and (chunk := await reader.read(_ANSWER_BYTES)):
        raw += chunk
    return raw


def _parse(raw: bytes) -> Answer | None:
    head, _, body = raw.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():  # noqa: PLR2004 - version and status
        return None
    return Answer(status=int(words[1]), body=body)
