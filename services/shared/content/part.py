"""A file on its way into the ring, kept until it is stored so that it can be sent again to another node."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator

from services.shared.errors import TooLargeError
from services.shared.rpc import CHUNK_BYTES


class Part:
    """Content that may still be growing. Any number of readers follow it, each from the beginning."""

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []
        self._sha256 = hashlib.sha256()
        self._grown = asyncio.Event()
        self.size_bytes = 0
        self.announced_bytes = 0
        """How long it will be altogether; 0: not known yet."""
        self.completed_at: float | None = None
        """When the last byte came, by the event loop's clock; None: more may come."""

    @property
    def sha256(self) -> bytes:
        """The digest of the content so far."""
        return self._sha256.digest()

    @property
    def is_small(self) -> bool:
        """Whether it is known already that all of it fits into one message."""
        return 0 < self.announced_bytes <= CHUNK_BYTES

    async def fill(self, source: bytes | AsyncIterable[bytes]) -> None:
        """Take all of the source.

        Raises:
            TooLargeError: there is more of it than the limit.
            Exception: whatever the source raises.
        """
        if isinstance(source, bytes):
            self.announced_bytes = len(source)
            await self._append(source)
        else:
            async for piece in source:
                await self._append(bytes(piece))
        self.announced_bytes = self.size_bytes
        self.completed_at = asyncio.get_running_loop().time()
        self._tell_readers()

    async def whole(self) -> bytes:
        """All of the content, once it is here."""
        while self.completed_at is None:
            await self._grown.wait()
        return b"".join(self._pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content from its beginning, cut for sending; ends when it is complete."""
        read = 0
        while True:
            while read < len(self._pieces):
                piece = self._pieces[read]
                for at in range(0, len(piece), CHUNK_BYTES):
                    yield piece[at : at + CHUNK_BYTES]
                read += 1
            if self.completed_at is not None:
                return
            await self._grown.wait()

    async def _append(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        if self.size_bytes > self._limit_bytes:
            raise TooLargeError(f"The file has more than {self._limit_bytes} bytes.")
        self._pieces.append(piece)
        self._tell_readers()
        # Hashing a whole file takes tens of milliseconds; it is being sent at the same time.
        await asyncio.to_thread(self._sha256.update, piece)

    def _tell_readers(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()
