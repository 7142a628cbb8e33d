"""The client of the ring."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.shared.content.budget import ByteBudget
from services.shared.content.channels import Channels
from services.shared.content.files import StoredFile
from services.shared.content.hedge import Hedge
from services.shared.content.nodes import Download, Nodes
from services.shared.content.reader import ContentReader
from services.shared.content.repair import Repairs
from services.shared.content.search import Found, Search
from services.shared.content.writer import Writer
from services.shared.errors import TooLargeError
from services.shared.lifecycle import background
from services.shared.ring.placement import check_key
from services.shared.rpc import MAX_FILE_BYTES
from services.shared.topology import Topology

DEFAULT_MEMORY_BYTES: Final = 256 << 20


class ContentStore:
    """Puts files into the ring and reads them back. One per process; safe to share by all its tasks.

    What is being written, and what is being read as a whole, holds at most `memory_bytes` each; operations
    beyond that wait for their turn. Make one with `ContentStore.connect`.
    """

    def __init__(self, topology: Topology, channels: Channels, *, memory_bytes: int) -> None:
        self._topology = topology
        self._nodes = Nodes(channels)
        self._hedge = Hedge()
        self._writing = ByteBudget(memory_bytes)
        self._reading = ByteBudget(memory_bytes)
        self._repairs = Repairs(nodes=self._nodes, topology=topology, read_all=self.get_bytes)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, topology: Topology, *, memory_bytes: int = DEFAULT_MEMORY_BYTES
    ) -> AsyncIterator[ContentStore]:
        """Open a client of the ring. Does not wait for any node."""
        async with Channels.over(topology) as channels:
            store = cls(topology, channels, memory_bytes=memory_bytes)
            async with background(store._repairs.run()):
                yield store

    async def put(
        self, key: str, data: bytes | AsyncIterable[bytes], *, size_bytes: int | None = None
    ) -> StoredFile:
        """Store a file; returns once it is durable on enough nodes, and readable.

        Args:
            key: `"<video id>/<file name>"`.
            data: the content, at most 32 MiB. If it comes piece by piece, it is sent on as it comes.
            size_bytes: a limit on content that comes piece by piece: so much memory is set aside for it.

        Raises:
            InvalidRequestError: the key is malformed.
            TooLargeError: the content is longer than allowed.
            ConflictError: other content is stored under the key, or its video has been deleted.
            OutOfSpaceError: the nodes are full.
            UnavailableError: not enough nodes could be reached. The file may have been stored.
        """
        check_key(key)
        limit_bytes = len(data) if isinstance(data, bytes) else size_bytes or MAX_FILE_BYTES
        if limit_bytes > MAX_FILE_BYTES:
            raise TooLargeError(f"A file has at most {MAX_FILE_BYTES} bytes: store larger content in parts.")
        async with self._writing.hold(limit_bytes):
            writer = Writer(nodes=self._nodes, topology=self._topology, key=key, limit_bytes=limit_bytes)
            return await writer.store(data)

    async def open(self, key: str, *, offset: int = 0, length: int | None = None) -> ContentReader:
        """Begin to read a file, or `length` bytes of it from `offset` on. Enter what is returned.

        Raises:
            InvalidRequestError: the key is malformed, or the file ends before `offset`.
            NotFoundError: there is no such file; proved, not guessed.
            UnavailableError: no copy was found, and not every node that may have one could be asked.
        """
        check_key(key)
        end = None if length is None else offset + length
        found = await self._find(key, offset, end)
        self._repairs.note(key, found.without)

        async def resume(at: int, avoid: str) -> Download:
            return (await self._find(key, at, end, avoid=avoid)).answer

        size_bytes = found.answer.file.size_bytes
        stop = size_bytes if end is None else min(end, size_bytes)
        return ContentReader(found.answer, offset=offset, end=stop, resume=resume)

    async def get_bytes(
        self, key: str, *, offset: int = 0, length: int | None = None, limit_bytes: int = MAX_FILE_BYTES
    ) -> bytes:
        """A file, or a range of it, in memory.

        Raises:
            TooLargeError: that is more than `limit_bytes`.
            TritonTubeError: as `open` and its reader do.
        """
        async with await self.open(key, offset=offset, length=length) as reader:
            if reader.size_bytes > limit_bytes:
                raise TooLargeError(f"{key} has {reader.size_bytes} bytes, more than {limit_bytes}.")
            async with self._reading.hold(reader.size_bytes):
                return b"".join([chunk async for chunk in reader])

    async def stat(self, key: str) -> StoredFile:
        """The facts of a file.

        Raises:
            InvalidRequestError: the key is malformed.
            NotFoundError: there is no such file; proved, not guessed.
            UnavailableError: as for `open`.
        """
        check_key(key)
        found = await Search(
            self._topology, key, ask=lambda node: self._nodes.facts(node, key), hedge=self._hedge
        ).run()
        self._repairs.note(key, found.without)
        return found.answer

    async def _find(self, key: str, offset: int, end: int | None, *, avoid: str = "") -> Found[Download]:
        # Zero means "to the end" to a node; the reader cuts what it did not ask for.
        length = 0 if end is None else max(1, end - offset)
        return await Search(
            self._topology,
            key,
            ask=lambda node: self._nodes.get(node, key, offset=offset, length=length),
            discard=Download.close,
            avoid=avoid,
            hedge=self._hedge,
        ).run()
