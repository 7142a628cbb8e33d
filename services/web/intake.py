"""An upload on its way into the ring: cut into parts of a fixed size, each sent on while it arrives.

Only the part that is being received is in memory (it may have to be sent again, to another node), and the one
before it until its nodes have made it durable. A client that is faster than the ring is slowed down by not
being read.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from services.shared.content import ContentStore, StoredFile
from services.shared.errors import TooLargeError
from services.shared.filenames import source_part_file
from services.shared.telemetry import Counter
from services.shared.video import Source
from services.web import sniff
from services.web.wording import size

_WAITING_PIECES: Final = 4
"""Pieces (up to some hundred KiB each) between the client and the ring."""

_RECEIVED: Final = Counter("tritontube_upload_bytes_total", "Bytes of originals received.")


class Intake:
    """Takes one file. Leaving its context before `finish` stops whatever is still being stored."""

    def __init__(
        self,
        *,
        store: ContentStore,
        announce: Callable[[], Awaitable[None]],
        video_id: str,
        part_bytes: int,
        max_bytes: int,
    ) -> None:
        """`announce` is called before the first byte goes into the ring."""
        self._store = store
        self._announce = announce
        self._video_id = video_id
        self._part_bytes = part_bytes
        self._max_bytes = max_bytes
        self._head = b""
        self._part: _Part | None = None
        self._received: _Part | None = None
        """The part before, all of which has come: it may not be durable yet."""
        self._parts = 0
        self._size_bytes = 0
        self._hash = hashlib.sha256()

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make sure that nothing is being stored any more."""
        for part in filter(None, (self._received, self._part)):
            await part.abort()

    async def write(self, data: memoryview) -> None:
        """Take more bytes.

        Raises:
            TooLargeError: the file is larger than allowed.
            UnsupportedMediaError: it is obviously not a video.
            UnavailableError: the ring does not take it, or is full (`OutOfSpaceError`).
        """
        self._size_bytes += len(data)
        if self._size_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        self._hash.update(data)
        _RECEIVED.inc(len(data))
        if self._parts:
            await self._pass_on(data)
            return
        self._head += data
        if len(self._head) >= sniff.HEAD_BYTES:
            await self._begin()

    async def finish(self) -> Source:
        """Store what is left; everything is in the ring then.

        Raises:
            UnsupportedMediaError: it is obviously not a video.
            UnavailableError: the ring does not take it, or is full (`OutOfSpaceError`).
        """
        if not self._parts:
            await self._begin()
        if self._part:
            await self._end_part()
        await self._settle()
        return Source(
            size_bytes=self._size_bytes,
            sha256=self._hash.hexdigest(),
            part_bytes=self._part_bytes,
            parts=self._parts,
        )

    async def _begin(self) -> None:
        sniff.refuse_obvious(self._head[: sniff.HEAD_BYTES])
        await self._announce()
        await self._pass_on(memoryview(self._head))
        self._head = b""

    async def _pass_on(self, data: memoryview) -> None:
        while data:
            part = self._part or self._begin_part()
            piece, data = data[: part.room_bytes], data[part.room_bytes :]
            await part.write(bytes(piece))
            if not part.room_bytes:
                await self._end_part()

    def _begin_part(self) -> _Part:
        key = f"{self._video_id}/{source_part_file(self._parts)}"
        self._part = _Part(self._store, key, self._part_bytes)
        self._parts += 1
        return self._part

    async def _end_part(self) -> None:
        """Let the part become durable while the next one comes in."""
        assert self._part
        await self._part.end()
        await self._settle()
        self._received, self._part = self._part, None

    async def _settle(self) -> None:
        if self._received:
            await self._received.stored()
            self._received = None


class _Part:
    """A file of the ring that is being received."""

    def __init__(self, store: ContentStore, key: str, part_bytes: int) -> None:
        self.room_bytes = part_bytes
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(_WAITING_PIECES)
        storing = store.put(key, self._arriving(), size_bytes=part_bytes)
        self._stored: asyncio.Task[StoredFile] = asyncio.create_task(storing, name=f"store {key}")

    async def write(self, piece: bytes) -> None:
        """Pass a piece on, which is not empty; waits while the ring is behind.

        Raises:
            UnavailableError: the ring has given up.
        """
        self.room_bytes -= len(piece)
        await self._pass(piece)

    async def end(self) -> None:
        """Say that this was all of it.

        Raises:
            UnavailableError: the ring has given up.
        """
        await self._pass(b"")

    async def stored(self) -> None:
        """Wait until all of it is in the ring.

        Raises:
            UnavailableError: it cannot be stored.
        """
        await self._stored

    async def abort(self) -> None:
        """Stop, and wait until that is done."""
        self._stored.cancel()
        await asyncio.wait([self._stored])

    async def _pass(self, piece: bytes) -> None:
        if self._pieces.full() and not self._stored.done():
            passing = asyncio.create_task(self._pieces.put(piece))
            await asyncio.wait([passing, self._stored], return_when=asyncio.FIRST_COMPLETED)
            passing.cancel()
        elif not self._stored.done():
            self._pieces.put_nowait(piece)
        if self._stored.done():
            self._stored.result()

    async def _arriving(self) -> AsyncIterator[bytes]:
        while piece := await self._pieces.get():
            yield piece


def too_large(max_bytes: int) -> TooLargeError:
    """What is said to a file over the limit."""
    return TooLargeError(f"The file is too large: this server takes up to {size(max_bytes)}.")
