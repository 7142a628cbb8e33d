"""Sending files to one node: over gRPC where it takes no bulk connections, as nodes of the version before."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from services.shared.content.nodes import Nodes
from services.shared.content.part import Part
from services.shared.errors import ConflictError, CorruptFileError
from services.shared.pace import Pace
from services.shared.rpc import CHANNEL_OPTIONS, CHUNK_BYTES, SERVER_OPTIONS
from services.shared.stubs.tritontube.storage.v1 import storage_pb2, storage_pb2_grpc
from services.storage.disk.objectfile import ObjectFile, ObjectWriter
from services.storage.handoff.peers import Peers
from services.storage.threads import Threads

_KEY: Final = "0123456789abcdef/file"
_SERVICE: Final = storage_pb2.DESCRIPTOR.services_by_name["StorageService"].full_name


class OlderNode:
    """Knows `Put` and nothing else, as the server's table of methods says."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def handlers(self) -> grpc.GenericRpcHandler:
        put = grpc.stream_unary_rpc_method_handler(
            self._put,
            request_deserializer=storage_pb2.PutRequest.FromString,
            response_serializer=storage_pb2.PutResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"Put": put})

    async def _put(
        self, requests: AsyncIterator[storage_pb2.PutRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> storage_pb2.PutResponse:
        received = [request async for request in requests]
        key, content = received[0].header.key, b"".join(request.chunk for request in received)
        if self.files.get(key, content) != content:
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "It is stored already, with other content.")
        stored = _stored(self.files, key, content, sha256=received[-1].commit.sha256)
        return storage_pb2.PutResponse(info=stored, created=True, epoch=1)


def _stored(files: dict[str, bytes], key: str, content: bytes, *, sha256: bytes) -> storage_pb2.FileInfo:
    """Keep a file whose digest is right; what is answered of it."""
    assert sha256 == hashlib.sha256(content).digest()
    files[key] = content
    return storage_pb2.FileInfo(key=key, size_bytes=len(content), sha256=sha256, stored_at_ms=1)


class OneStub:
    """Leads to the one node there is."""

    def __init__(self, stub: storage_pb2_grpc.StorageServiceAsyncStub) -> None:
        self._stub = stub

    async def stub(self, _node: str) -> storage_pb2_grpc.StorageServiceAsyncStub:
        return self._stub

    async def bulk(self, _node: str) -> None:
        return None


@asynccontextmanager
async def leading_to(node: OlderNode) -> AsyncIterator[OneStub]:
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((node.handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS) as channel:
        yield OneStub(storage_pb2_grpc.StorageServiceStub(channel))
    await server.stop(None)


@asynccontextmanager
async def asking(node: OlderNode) -> AsyncIterator[Nodes]:
    """A writer's way to the node."""
    async with leading_to(node) as stub:
        yield Nodes(stub)  # type: ignore[arg-type]


@asynccontextmanager
async def handing_over_to(node: OlderNode) -> AsyncIterator[Peers]:
    """Another node's way to the node."""
    with Threads(1) as threads:
        async with leading_to(node) as stub:
            yield Peers(stub, node_id="source", threads=threads, pace=Pace(1 << 30))  # type: ignore[arg-type]


@contextmanager
def stored(path: Path, content: bytes) -> Iterator[ObjectFile]:
    """A node's own copy."""
    with path.open("xb") as file:
        writer = ObjectWriter(file.fileno())
        writer.append(content)
        writer.finish(key=_KEY, stored_at_ms=1)
    copy = ObjectFile.open(path)
    yield copy
    copy.close()


async def filled(content: bytes) -> Part:
    part = Part(limit_bytes=len(content))
    await part.fill(content)
    return part


async def test_a_file_is_sent_as_a_stream_to_a_node_that_takes_no_bulk_connections():
    older = OlderNode()
    async with asking(older) as nodes:
        stored = await nodes.put("older", _KEY, await filled(b"content"), epoch=1)
    assert older.files == {_KEY: b"content"}
    assert (stored.key, stored.size_bytes) == (_KEY, 7)


async def test_what_such_a_node_refuses_stays_refused():
    older = OlderNode()
    older.files[_KEY] = b"another"
    async with asking(older) as nodes:
        with pytest.raises(ConflictError):
            await nodes.put("older", _KEY, await filled(b"content"), epoch=1)
    assert older.files == {_KEY: b"another"}


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])
async def test_a_file_is_handed_over_as_a_stream_to_a_node_that_takes_no_bulk_connections(
    tmp_path: Path, size: int
):
    older, content = OlderNode(), bytes(size)
    async with handing_over_to(older) as peers:
        with stored(tmp_path / "copy", content) as copy:
            await peers.push("older", copy, epoch=1)
    assert older.files == {_KEY: content}


async def test_a_damaged_copy_is_not_handed_over(tmp_path: Path):
    older = OlderNode()
    async with handing_over_to(older) as peers:
        with stored(tmp_path / "copy", b"content") as copy:
            with (tmp_path / "copy").open("r+b") as file:
                file.write(b"C")
            with pytest.raises(CorruptFileError):
                await peers.push("older", copy, epoch=1)
    assert older.files == {}
