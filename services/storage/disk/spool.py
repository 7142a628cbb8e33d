"""Chunks on their way from the network to the disk."""

from __future__ import annotations

import asyncio

from services.shared.errors import InvalidRequestError, TooLargeError
from services.shared.rpc import MAX_FILE_BYTES
from services.storage.disk.objectfile import BLOCK_BYTES, Data
from services.storage.disk.stage import Stage
from services.storage.threads import Threads


class Spool:
    """Writes a block at a time, while the next one comes in: two blocks in memory at most."""

    def __init__(self, stage: Stage, threads: Threads) -> None:
        self._stage = stage
        self._threads = threads
        self._chunks: list[Data] = []
        self._size_bytes = 0
        self._sent_bytes = 0
        self._writing: asyncio.Task[None] | None = None

    async def add(self, chunk: Data) -> None:
        """Take a chunk. Fails also for what went wrong with those before it.

        Raises:
            TooLargeError: the file is longer than files may be.
            OutOfSpaceError: the disk is full.
            UnavailableError: it failed.
        """
        self._size_bytes += len(chunk)
        if self._size_bytes > MAX_FILE_BYTES:
            raise TooLargeError(f"A file has at most {MAX_FILE_BYTES} bytes.")
        self._chunks.append(chunk)
        if self._size_bytes - self._sent_bytes >= BLOCK_BYTES:
            await self._write()

    async def finish(self) -> None:
        """Return once everything is written. Raises as `add` does."""
        await self._write()
        await self._settled()

    async def _write(self) -> None:
        await self._settled()
        append = self._threads.run(self._stage.append, *self._chunks)
        self._chunks, self._sent_bytes = [], self._size_bytes
        self._writing = asyncio.create_task(append)
        self._writing.add_done_callback(_noted)

    async def _settled(self) -> None:
        if self._writing:
            await self._writing


class Pile:
    """Keeps the chunks of a small file until all are there."""

    def __init__(self, *, limit_bytes: int) -> None:
        self._left_bytes = limit_bytes
        self.chunks: list[Data] = []

    async def add(self, chunk: Data) -> None:
        """Take a chunk.

        Raises:
            InvalidRequestError: the file is longer than was said.
        """
        self._left_bytes -= len(chunk)
        if self._left_bytes < 0:
            raise InvalidRequestError("The file is longer than its header says.")
        self.chunks.append(chunk)

    async def finish(self) -> None:
        """Nothing more comes."""


def _noted(task: asyncio.Task[None]) -> None:
    """Look at the outcome of a write that nobody may wait for any more, as the transfer failed first."""
    if not task.cancelled():
        task.exception()
