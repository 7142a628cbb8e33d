"""Bytes on their way into the ring: cut into parts of a fixed size, each sent on while it arrives.

Only the part that is being received is in memory (it may have to be sent again, to another node), and the one
before it until its nodes have made it durable. A client that is faster than the ring is slowed down by not
being read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from services.shared.content import ContentStore, StoredFile

_WAITING_PIECES: Final = 4
"""Pieces (up to some hundred KiB each) between the client and the ring."""

OnStored = Callable[[StoredFile], Awaitable[None]]
"""Told of each part when it is durable, in order."""


async def _ignore(_: StoredFile) -> None:
    """Nobody wants to know."""


class Parts:
    """Stores a row of parts. Closing it before `finish` stops whatever is still being stored."""

    def __init__(
        self,
        *,
        store: ContentStore,
        key: Callable[[int], str],
        part_bytes: int,
        on_stored: OnStored = _ignore,
    ) -> None:
        """`key` gives the key in the ring of a part, by its number in this row from 0."""
        self._store = store
        self._key = key
        self._part_bytes = part_bytes
        self._on_stored = on_stored
        self._part: _Part | None = None
        self._settling: asyncio.Task[None] | None = None
        """Of the part before, all of which has come: until it is durable and that has been told."""
        self.begun = 0
        """So many parts have been begun."""

    async def aclose(self) -> None:
        """Make sure that nothing is being stored any more."""
        if self._settling:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
        if self._part:
            await self._part.abort()

    async def write(self, data: memoryview) -> None:
        """Take more bytes.

        Raises:
            UnavailableError: the ring does not take it, or is full (`OutOfSpaceError`).
            TritonTubeError: from `on_stored`.
        """
        if self._settling and self._settling.done():
            await self._settle()
        while data:
            part = self._part or self._begin_part()
            piece, data = data[: part.room_bytes], data[part.room_bytes :]
            await part.write(bytes(piece))
            if not part.room_bytes:
                await self._end_part()

    async def finish(self) -> None:
        """Store what is left, as a part that may be shorter; everything is in the ring then.

        Raises:
            UnavailableError: the ring does not take it, or is full (`OutOfSpaceError`).
            TritonTubeError: from `on_stored`.
        """
        if self._part:
            await self._end_part()
        await self._settle()

    def _begin_part(self) -> _Part:
        self._part = _Part(self._store, self._key(self.begun), self._part_bytes)
        self.begun += 1
        return self._part

    async def _end_part(self) -> None:
        """Let the part become durable while the next one comes in."""
        assert self._part
        await self._part.end()
        await self._settle()
        self._settling, self._part = asyncio.create_task(self._tell_of(self._part)), None

    async def _tell_of(self, part: _Part) -> None:
        await self._on_stored(await part.stored())

    async def _settle(self) -> None:
        if self._settling:
            await self._settling
            self._settling = None


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

    async def stored(self) -> StoredFile:
        """Wait until all of it is in the ring.

        Raises:
            UnavailableError: it cannot be stored.
        """
        return await self._stored

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
