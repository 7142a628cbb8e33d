"""Storage nodes, as they are asked about single files: who holds what, whether it is whole, to see to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from services.shared.content.channels import Channels
from services.shared.rpc import MAX_FILE_BYTES, bounded, translated
from services.shared.stubs.tritontube.storage.v1 import storage_pb2

_STALL_TIMEOUT_S: Final = 30.0
_ANSWER_TIMEOUT_S: Final = 30.0
_SLOWEST_BYTES_PER_S: Final = 4 << 20
"""For a node that reads or fetches files while its clients come first."""
_KEYS: Final = 1000
_BATCH_BYTES: Final = 256 << 20
_MENDED_AT_ONCE: Final = 50
_MEND_TIMEOUT_S: Final = _ANSWER_TIMEOUT_S + _MENDED_AT_ONCE * MAX_FILE_BYTES / _SLOWEST_BYTES_PER_S


class Copy(NamedTuple):
    """A node's copy of a file."""

    key: str
    size_bytes: int
    sha256: bytes
    stored_at_ms: int


class Holders:
    """The nodes of a ring, by id. Every call is bounded in time and raises `UnavailableError` beyond that.

    Args:
        channels: to the nodes.
        answer_timeout_s: for an answer that takes a look at the disk.
    """

    def __init__(self, channels: Channels, *, answer_timeout_s: float = _ANSWER_TIMEOUT_S) -> None:
        self._channels = channels
        self._answer_timeout_s = answer_timeout_s

    async def listing(self, node: str, *, video_id: str = "") -> AsyncGenerator[Copy, None]:
        """What a node holds: of one video by key, or of all by partition and key.

        Raises:
            UnavailableError: the node is away, or can't tell yet.
        """
        scope = {"video_id": video_id} if video_id else {"everything": True}
        stub = await self._channels.stub(node)
        call = stub.List(storage_pb2.ListRequest(**scope))
        try:
            while True:
                async with bounded(node, _STALL_TIMEOUT_S):
                    page = await call.read()
                if not isinstance(page, storage_pb2.ListResponse):
                    return
                for file in page.files:
                    yield _copy(file)
        finally:
            call.cancel()

    async def has(self, node: str, keys: Sequence[str]) -> dict[str, Copy]:
        """Which of the keys a node holds durably.

        Raises:
            UnavailableError: the node is away.
        """
        stub = await self._channels.stub(node)
        held: dict[str, Copy] = {}
        for at in range(0, len(keys), _KEYS):
            with translated(node):
                request = storage_pb2.HasRequest(keys=keys[at : at + _KEYS])
                answer = await stub.Has(request, timeout=self._answer_timeout_s)
            held |= {file.key: _copy(file) for file in answer.files}
        return held

    async def damaged(self, node: str, copies: Iterable[Copy]) -> list[str]:
        """Have a node read its copies to the last byte: the keys of those that are damaged.

        Raises:
            UnavailableError: the node is away.
        """
        stub = await self._channels.stub(node)
        damaged: list[str] = []
        for batch in _batches(copies):
            request = storage_pb2.VerifyRequest(keys=[copy.key for copy in batch])
            with translated(node):
                answer = await stub.Verify(request, timeout=_time_s(batch))
            damaged += answer.damaged
        return damaged

    async def mend(self, node: str, keys: Sequence[str]) -> list[str]:
        """Have a node see to files: what could not be mended, a sentence each that begins with the key.

        Raises:
            UnavailableError: the node is away.
        """
        stub = await self._channels.stub(node)
        problems: list[str] = []
        for at in range(0, len(keys), _MENDED_AT_ONCE):
            with translated(node):
                request = storage_pb2.MendRequest(keys=keys[at : at + _MENDED_AT_ONCE])
                problems += (await stub.Mend(request, timeout=_MEND_TIMEOUT_S)).problems
        return problems

    async def delete(self, node: str, key: str, *, epoch: int) -> bool:
        """Remove a node's copy. False: it had none.

        Raises:
            StaleRingError: the ring has changed since `epoch`.
            UnavailableError: the node is away.
        """
        stub = await self._channels.stub(node)
        with translated(node):
            request = storage_pb2.DeleteRequest(key=key, epoch=epoch)
            return (await stub.Delete(request, timeout=self._answer_timeout_s)).deleted


def _copy(file: storage_pb2.FileInfo) -> Copy:
    return Copy(file.key, file.size_bytes, file.sha256, file.stored_at_ms)


def _time_s(batch: Sequence[Copy]) -> float:
    return _ANSWER_TIMEOUT_S + sum(copy.size_bytes for copy in batch) / _SLOWEST_BYTES_PER_S


def _batches(copies: Iterable[Copy]) -> Iterator[list[Copy]]:
    """The copies in groups that a node can read through in about a minute."""
    batch: list[Copy] = []
    size_bytes = 0
    for copy in copies:
        if batch and (len(batch) == _KEYS or size_bytes + copy.size_bytes > _BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(copy)
        size_bytes += copy.size_bytes
    if batch:
        yield batch
