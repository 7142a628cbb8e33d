"""What can be asked of one storage node: thin calls, each bounded in time, their failures translated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from functools import partial
from typing import Any, Final

from grpc.aio import UnaryStreamCall

from services.shared.bulk.call import Answer, Call, StaleConnectionError
from services.shared.content.channels import Channels
from services.shared.content.files import StoredFile
from services.shared.content.part import Part
from services.shared.content.putting import FOREVER, put, steps
from services.shared.errors import NotFoundError, UnavailableError
from services.shared.rpc import bounded, translated
from services.shared.stubs.tritontube.storage.v1 import bulk_pb2, storage_pb2, storage_pb2_grpc

ANSWER_TIMEOUT_S: Final = 5.0
"""For the first word of an answer; a node that is well needs milliseconds."""
STALL_TIMEOUT_S: Final = 2.0
"""For the next chunk of a stream."""


class Download(ABC):
    """A range of a file on its way from one node."""

    def __init__(self, node: str, file: StoredFile, first: bytes) -> None:
        self._came_first = first
        self.node = node
        self.file = file

    async def read(self) -> bytes:
        """The next chunk; empty at the end.

        Raises:
            UnavailableError: the stream broke or stalled.
            CorruptFileError: the copy turned out to be damaged.
        """
        if chunk := self._came_first:
            self._came_first = b""
            return chunk
        async with bounded(self.node, STALL_TIMEOUT_S):
            return await self._next()

    @abstractmethod
    async def _next(self) -> bytes:
        """The next chunk, however long it takes."""

    @abstractmethod
    def close(self) -> None:
        """Stop the stream, wherever it is."""


class _GrpcDownload(Download):
    def __init__(self, node: str, call: UnaryStreamCall[Any, Any], opening: storage_pb2.GetResponse) -> None:
        super().__init__(node, StoredFile.from_wire(opening.info), opening.chunk)
        self._call = call

    async def _next(self) -> bytes:
        message = await self._call.read()
        return message.chunk if isinstance(message, storage_pb2.GetResponse) else b""

    def close(self) -> None:
        self._call.cancel()


class _BulkDownload(Download):
    def __init__(self, node: str, call: Call, opening: Answer) -> None:
        super().__init__(node, StoredFile.from_wire(opening.message.info), opening.body)
        self._call = call
        self._last = opening.message.last

    async def _next(self) -> bytes:
        if self._last:
            return b""
        message, body = await self._call.answer()
        self._last = message.last
        return body

    def close(self) -> None:
        self._call.close()


class Nodes:
    """The storage nodes, by id."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    async def put(self, node: str, key: str, part: Part, *, epoch: int) -> StoredFile:
        """Send a file to one node as it grows; returns once the node has it durably. Unbounded in time.

        Raises:
            StaleRingError: the node knows a newer ring than `epoch`.
            ConflictError: the key holds other content, or its video has been deleted.
            OutOfSpaceError: the node is full.
            UnavailableError: the node is away, or takes no writes.
        """
        header = storage_pb2.PutHeader(key=key, epoch=epoch, size_bytes=part.announced_bytes)
        info = await put(
            self._channels,
            node,
            lambda: steps(header, part.chunks(), partial(_commit, part, epoch)),
            patience=FOREVER,
        )
        return StoredFile.from_wire(info)

    async def get(self, node: str, key: str, *, offset: int, length: int) -> Download | None:
        """Begin to download a range (`length` 0: to the end); None: the node has no copy.

        Raises:
            InvalidRequestError: the file ends before `offset`.
            UnavailableError: the node is away.
            CorruptFileError: its copy is damaged.
        """
        request = storage_pb2.GetRequest(key=key, offset_bytes=offset, length_bytes=length, joined=True)
        try:
            while call := await self._channels.bulk(node):
                with suppress(StaleConnectionError):
                    return await _over_bulk(node, call, request)
            return await _over_grpc(node, await self._channels.stub(node), request)
        except NotFoundError:
            return None

    async def facts(self, node: str, key: str) -> StoredFile | None:
        """What the node holds durably under a key; None: nothing.

        Raises:
            UnavailableError: the node is away.
        """
        stub = await self._channels.stub(node)
        with translated(node):
            answer = await stub.Has(storage_pb2.HasRequest(keys=[key]), timeout=ANSWER_TIMEOUT_S)
        return StoredFile.from_wire(answer.files[0]) if answer.files else None


def _commit(part: Part, epoch: int) -> storage_pb2.PutCommit:
    return storage_pb2.PutCommit(epoch=epoch, size_bytes=part.size_bytes, sha256=part.sha256)


async def _over_bulk(node: str, call: Call, request: storage_pb2.GetRequest) -> Download:
    try:
        async with bounded(node, ANSWER_TIMEOUT_S):
            await call.send(bulk_pb2.BulkRequest(node=node, get=request))
            return _BulkDownload(node, call, await call.answer())
    except BaseException:
        call.close()
        raise


async def _over_grpc(
    node: str, stub: storage_pb2_grpc.StorageServiceAsyncStub, request: storage_pb2.GetRequest
) -> Download:
    call = stub.Get(request)
    try:
        async with bounded(node, ANSWER_TIMEOUT_S):
            return _GrpcDownload(node, call, _opening(node, await call.read()))
    except BaseException:
        call.cancel()
        raise


def _opening(node: str, message: object) -> storage_pb2.GetResponse:
    if not isinstance(message, storage_pb2.GetResponse):
        raise UnavailableError(f"{node} ended the stream without a word.")
    return message
