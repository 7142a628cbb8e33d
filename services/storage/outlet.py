"""Giving files out, whichever way they go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import NamedTuple

from services.shared.errors import UnavailableError
from services.shared.ring.placement import check_key
from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from services.storage import metrics
from services.storage.disk.objectfile import ObjectInfo
from services.storage.disk.reading import Reading
from services.storage.disk.store import Store
from services.storage.epochs import EpochSource
from services.storage.intake import TRANSFER_BYTES
from services.storage.threads import Threads


class Portion(NamedTuple):
    """A verified block of a file, or what is wanted of it."""

    info: ObjectInfo
    block: bytes
    last: bool


class Outlet:
    """Reads what is asked for. A limited number of readers at a time; the others wait."""

    def __init__(self, *, store: Store, epochs: EpochSource, threads: Threads, memory_bytes: int) -> None:
        self._store = store
        self._epochs = epochs
        self._threads = threads
        self._room = asyncio.Semaphore(max(1, memory_bytes // TRANSFER_BYTES))

    async def portions(self, request: storage_pb2.GetRequest) -> AsyncGenerator[Portion, None]:
        """A range of a file, block by block: at least one portion, which may be empty.

        Raises:
            InvalidRequestError: the key is malformed, or the file ends before the range.
            NotFoundError: this node has no sound copy.
            CorruptFileError: the next block is damaged.
            UnavailableError: the node serves no files.
        """
        key = check_key(request.key)
        self.check_serving()
        begin = partial(Reading.begin, offset=request.offset_bytes, length=request.length_bytes)
        async with self._room, self._threads.holding(begin, self._store, key) as reading:
            while True:
                metrics.SENT.inc(len(reading.block))
                yield Portion(reading.info, reading.block, reading.closed)
                if reading.closed:
                    return
                await self._threads.run(reading.advance)

    def check_serving(self) -> None:
        """A removed node may hold what nobody keeps up any more: its absence here proves nothing.

        Raises:
            UnavailableError: this is one.
        """
        if self._epochs.removed:
            raise UnavailableError("The node has been removed from the ring: it serves no files.")
