"""What can be asked of one storage node: thin calls, each bounded in time, their failures translated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from grpc.aio import UnaryStreamCall

from services.shared.content.channels import Channels
from services.shared.content.files import StoredFile
from services.shared.content.part import Part
from services.shared.content.put_requests import put_requests, put_small
from services.shared.errors import NotFoundError, UnavailableError
from services.shared.rpc import translated
from services.shared.stubs.tritontube.storage.v1 import storage_pb2

ANSWER_TIMEOUT_S: Final = 5.0
"""For the first word of an answer; a node that is well needs milliseconds."""
STALL_TIMEOUT_S: Final = 2.0
"""For the next chunk of a stream."""


class Download:
    """A range of a file on its way from one node."""

    def __init__(self, node: str, call: UnaryStreamCall[Any, Any], opening: storage_pb2.GetResponse) -> None:
        self._call = call
        self._came_first = opening.chunk
        self.node = node
        self.file = StoredFile.from_wire(opening.info)

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
            message = await self._call.read()
        return message.chunk if isinstance(message, storage_pb2.GetResponse) else b""

    def close(self) -> None:
        """Stop the stream, wherever it is."""
        self._call.cancel()


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
        stub = await self._channels.stub(node)
        with translated(node):
            facts = await put_small(stub, await _small_request(key, part, epoch)) if part.is_small else None
            if facts is None:
                facts = (await stub.Put(_requests(key, part, epoch))).info
        return StoredFile.from_wire(facts)

    async def get(self, node: str, key: str, *, offset: int, length: int) -> Download | None:
        """Begin to download a range (`length` 0: to the end); None: the node has no copy.

        Raises:
            InvalidRequestError: the file ends before `offset`.
            UnavailableError: the node is away.
            CorruptFileError: its copy is damaged.
        """
        stub = await self._channels.stub(node)
        call = stub.Get(
            storage_pb2.GetRequest(key=key, offset_bytes=offset, length_bytes=length, joined=True)
        )
        try:
            async with bounded(node, ANSWER_TIMEOUT_S):
                return Download(node, call, _opening(node, await call.read()))
        except NotFoundError:
            return None
        except BaseException:
            call.cancel()
            raise

    async def facts(self, node: str, key: str) -> StoredFile | None:
        """What the node holds durably under a key; None: nothing.

        Raises:
            UnavailableError: the node is away.
        """
        stub = await self._channels.stub(node)
        with translated(node):
            answer = await stub.Has(storage_pb2.HasRequest(keys=[key]), timeout=ANSWER_TIMEOUT_S)
        return StoredFile.from_wire(answer.files[0]) if answer.files else None


async def _small_request(key: str, part: Part, epoch: int) -> storage_pb2.PutSmallRequest:
    content = await part.whole()
    return storage_pb2.PutSmallRequest(key=key, epoch=epoch, sha256=part.sha256, content=content)


def _requests(key: str, part: Part, epoch: int) -> AsyncIterator[storage_pb2.PutRequest]:
    header = storage_pb2.PutHeader(key=key, epoch=epoch, size_bytes=part.announced_bytes)
    return put_requests(
        header,
        part.chunks(),
        lambda: storage_pb2.PutCommit(epoch=epoch, size_bytes=part.size_bytes, sha256=part.sha256),
    )


def _opening(node: str, message: object) -> storage_pb2.GetResponse:
    if not isinstance(message, storage_pb2.GetResponse):
        raise UnavailableError(f"{node} ended the stream without a word.")
    return message


@asynccontextmanager
async def bounded(node: str, timeout_s: float) -> AsyncIterator[None]:
    """Call `node` inside, for so long at most; a failed call is raised as the error it stands for.

    Raises:
        UnavailableError: the time is over.
    """
    try:
        with translated(node):
            async with asyncio.timeout(timeout_s):
                yield
    except TimeoutError:
        raise UnavailableError(f"{node} did not answer in {timeout_s:.0f} s.") from None
