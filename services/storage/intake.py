"""Taking files in, whichever way they come: what is checked, and when a file becomes part of the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple

from services.shared.errors import InvalidRequestError, TooLargeError, UnavailableError
from services.shared.ring.placement import check_key, parse_key
from services.shared.rpc import MAX_FILE_BYTES
from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from services.storage import metrics
from services.storage.disk.objectfile import BLOCK_BYTES, Data
from services.storage.disk.spool import Pile, Spool
from services.storage.disk.stage import Stage
from services.storage.disk.store import Published, Store
from services.storage.epochs import EpochSource
from services.storage.handoff.promises import Promises
from services.storage.threads import Threads
from services.storage.wire import to_wire

TRANSFER_BYTES: Final = 2 * BLOCK_BYTES
"""What one transfer holds in memory, in either direction."""
_SHA256_BYTES: Final = 32


class Arrival(NamedTuple):
    """A piece of a file, with the commit if it is the last one."""

    chunk: Data
    commit: storage_pb2.PutCommit | None


class Intake:
    """Stores what arrives. `room` is to be held by whoever receives a file, before its first byte is read."""

    def __init__(
        self,
        *,
        store: Store,
        epochs: EpochSource,
        is_asked_first: Callable[[str], bool],
        threads: Threads,
        promises: Promises,
        memory_bytes: int,
    ) -> None:
        self._store = store
        self._epochs = epochs
        self._is_asked_first = is_asked_first
        self._threads = threads
        self._promises = promises
        self.room = asyncio.Semaphore(max(1, memory_bytes // TRANSFER_BYTES))

    async def take(
        self, header: storage_pb2.PutHeader, arrivals: AsyncIterator[Arrival]
    ) -> storage_pb2.PutResponse:
        """Store a file, whole or not at all; return what is said of it.

        Raises:
            InvalidRequestError: what comes is not what was announced.
            TooLargeError: it is longer than files may be.
            ConflictError: the key holds other content, or its video has been deleted.
            StaleRingError: the node knows a newer ring than the writer.
            OutOfSpaceError: the disk is full.
            UnavailableError: the node takes no writes, or the content was damaged on the way.
        """
        await self._check_header(header)
        with self._promises.arriving(header.key):
            small = 0 < header.size_bytes <= BLOCK_BYTES
            published = await (self._take_small if small else self._take_any)(header, arrivals)
        metrics.RECEIVED.inc(published.info.size_bytes)
        return storage_pb2.PutResponse(
            info=to_wire(published.info), created=published.created, epoch=self._store.fence.epoch
        )

    async def _take_small(self, header: storage_pb2.PutHeader, arrivals: AsyncIterator[Arrival]) -> Published:
        """A file of one block goes to the disk when it is complete, in one trip to a thread."""
        pile = Pile(limit_bytes=header.size_bytes)
        commit = await self._fill(pile, arrivals)
        return await self._threads.run(self._keep, pile.chunks, header.key, commit)

    async def _take_any(self, header: storage_pb2.PutHeader, arrivals: AsyncIterator[Arrival]) -> Published:
        async with self._threads.holding(self._store.stage, header.size_bytes) as stage:
            commit = await self._fill(Spool(stage, self._threads), arrivals)
            return await self._threads.run(self._publish, stage, header.key, commit)

    async def _fill(self, sink: Spool | Pile, arrivals: AsyncIterator[Arrival]) -> storage_pb2.PutCommit:
        """Hand the data on until the commit comes."""
        async for arrival in arrivals:
            if arrival.chunk:
                await sink.add(arrival.chunk)
            if arrival.commit is not None:
                await sink.finish()
                await self._check_commit(arrival.commit)
                return arrival.commit
        raise InvalidRequestError("The stream ended before its commit.")

    async def _check_header(self, header: storage_pb2.PutHeader) -> None:
        """Refuse before the data comes what would be refused after it."""
        key = check_key(header.key)
        if header.size_bytes > MAX_FILE_BYTES:
            raise TooLargeError(f"A file has at most {MAX_FILE_BYTES} bytes.")
        await self._epochs.catch_up(header.epoch)
        self._store.fence.check(epoch=header.epoch, video_id=parse_key(key).video_id)

    async def _check_commit(self, commit: storage_pb2.PutCommit) -> None:
        if len(commit.sha256) != _SHA256_BYTES:
            raise InvalidRequestError("A commit carries the SHA-256 of the content.")
        await self._epochs.catch_up(commit.epoch)

    def _keep(self, chunks: Sequence[Data], key: str, commit: storage_pb2.PutCommit) -> Published:
        """Store a whole file. Blocks."""
        with self._store.stage(commit.size_bytes) as stage:
            stage.append(*chunks)
            return self._publish(stage, key, commit)

    def _publish(self, stage: Stage, key: str, commit: storage_pb2.PutCommit) -> Published:
        """Make a staged file durable and visible, if it is what was sent. Blocks."""
        if (stage.size_bytes, stage.sha256) != (commit.size_bytes, commit.sha256):
            raise UnavailableError("The file arrived damaged; send it again.")
        published = self._store.publish(stage, key=key, epoch=commit.epoch)
        if not self._is_asked_first(key):
            stage.uncache()  # the cluster's memory holds the more files, the fewer copies of each
        return published
