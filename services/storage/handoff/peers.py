"""What a node asks of other nodes: calls that are bounded in time, with their failures translated."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Final

from services.shared.content.channels import Channels
from services.shared.content.putting import Patience, Step, put, steps
from services.shared.errors import UnavailableError
from services.shared.pace import Pace
from services.shared.rpc import translated
from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from services.storage.disk.objectfile import BLOCK_BYTES, ObjectFile, ObjectInfo
from services.storage.handoff.offers import Answer
from services.storage.handoff.summaries import Summary
from services.storage.threads import Threads
from services.storage.wire import from_wire, to_wire

_ANSWER_TIMEOUT_S: Final = 30.0
"""For what a slow disk may have to look up a thousand times."""
_VERIFY_BYTES_PER_S: Final = 4 << 20
"""The slowest that reading for verification may be before it counts as failed: clients' reads come first."""
_PATIENCE: Final = Patience(step_s=20.0, commit_s=60.0)

_ANSWERS: Final = {answer.value: answer for answer in Answer}


class Peers:
    """The other nodes, by id."""

    def __init__(self, channels: Channels, *, node_id: str, threads: Threads, pace: Pace) -> None:
        """`node_id` is who asks; `pace` holds down what is sent."""
        self._channels = channels
        self._node_id = node_id
        self._threads = threads
        self._pace = pace

    async def offer(self, node: str, files: Sequence[ObjectInfo], *, epoch: int) -> list[Answer]:
        """Offer at most 1000 files; one answer for each, true at `epoch`.

        Raises:
            StaleRingError: the node knows a newer ring.
            OutOfSpaceError: the node is full.
            UnavailableError: the node is away, or can't say.
        """
        request = storage_pb2.OfferRequest(epoch=epoch, files=map(to_wire, files), node_id=self._node_id)
        stub = await self._channels.stub(node)
        with translated(node):
            answer = await stub.Offer(request, timeout=_ANSWER_TIMEOUT_S)
        _check_epoch(node, answer.epoch, epoch)
        if len(answer.answers) != len(files):
            raise UnavailableError(f"{node} did not answer to every file that it was offered.")
        return [_ANSWERS.get(value, Answer.PENDING) for value in answer.answers]

    async def summarize(self, node: str, partitions: Iterable[int], *, epoch: int) -> dict[int, Summary]:
        """What the node holds of some partitions, true at `epoch`; those that are empty are left out.

        Raises:
            StaleRingError: the node knows a newer ring.
            UnavailableError: the node is away, or can't say.
        """
        request = storage_pb2.SummarizeRequest(partitions=partitions, epoch=epoch)
        stub = await self._channels.stub(node)
        with translated(node):
            answer = await stub.Summarize(request, timeout=_ANSWER_TIMEOUT_S)
        _check_epoch(node, answer.epoch, epoch)
        return {
            found.partition: Summary(files=found.files, size_bytes=found.stored_bytes, digest=found.digest)
            for found in answer.partitions
        }

    async def verify(self, node: str, files: Sequence[ObjectInfo], *, epoch: int) -> set[tuple[str, bytes]]:
        """Have the node read its copies of at most 1000 files: (key, SHA-256) of those that are sound.

        Raises:
            StaleRingError: the node knows a newer ring.
            UnavailableError: the node is away, or can't vouch for anything at `epoch`.
        """
        request = storage_pb2.VerifyRequest(keys=[info.key for info in files], epoch=epoch)
        timeout_s = _ANSWER_TIMEOUT_S + sum(info.size_bytes for info in files) / _VERIFY_BYTES_PER_S
        stub = await self._channels.stub(node)
        with translated(node):
            answer = await stub.Verify(request, timeout=timeout_s)
        _check_epoch(node, answer.epoch, epoch)
        return {(info.key, info.sha256) for info in map(from_wire, answer.sound)}

    async def push(self, node: str, file: ObjectFile, *, epoch: int) -> None:
        """Send a copy, read from the disk as it goes out; returns once the node has it durably, at `epoch`.

        Raises:
            CorruptFileError: our copy is damaged; the node has dropped what it got.
            StaleRingError: the node knows a newer ring.
            ConflictError: the node holds other content under the key, or its video has been deleted.
            OutOfSpaceError: the node is full.
            UnavailableError: the node is away, too slow, or takes no writes.
        """
        await put(self._channels, node, lambda: self._steps(file, epoch), patience=_PATIENCE)

    def _steps(self, file: ObjectFile, epoch: int) -> AsyncGenerator[Step, None]:
        info = file.info
        header = storage_pb2.PutHeader(key=info.key, epoch=epoch, size_bytes=info.size_bytes)
        commit = storage_pb2.PutCommit(epoch=epoch, size_bytes=info.size_bytes, sha256=info.sha256)
        return steps(header, self._chunks(file), lambda: commit)

    async def _chunks(self, file: ObjectFile) -> AsyncGenerator[bytes, None]:
        """A file's data as it is read, no faster than it may be sent."""
        for offset in range(0, file.info.size_bytes, BLOCK_BYTES):
            block = await self._threads.run(file.read, offset, BLOCK_BYTES)
            await self._pace.take(len(block))
            yield block


def _check_epoch(node: str, answered: int, asked: int) -> None:
    """A confirmation counts for one epoch only."""
    if answered != asked:
        raise UnavailableError(f"{node} answered for epoch {answered} instead of {asked}.")
