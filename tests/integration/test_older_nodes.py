"""Storage nodes of the version before, which take files as streams only."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from services.shared.content.nodes import Nodes
from services.shared.content.part import Part
from services.shared.errors import ConflictError
from services.shared.rpc import CHANNEL_OPTIONS, SERVER_OPTIONS
from services.shared.stubs.tritontube.storage.v1 import storage_pb2, storage_pb2_grpc


class OlderNode:
    """Knows `Put` and nothing else, as the server's table of methods says."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def put(
        self, requests: AsyncIterator[storage_pb2.PutRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> storage_pb2.PutResponse:
        received = [request async for request in requests]
        key, content = received[0].header.key, b"".join(request.chunk for request in received)
        assert received[-1].commit.sha256 == hashlib.sha256(content).digest()
        if self.files.setdefault(key, content) != content:
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "It is stored already, with other content.")
        facts = storage_pb2.FileInfo(
            key=key, size_bytes=len(content), sha256=received[-1].commit.sha256, stored_at_ms=1
        )
        return storage_pb2.PutResponse(info=facts, created=True, epoch=1)

    def handlers(self) -> grpc.GenericRpcHandler:
        put = grpc.stream_unary_rpc_method_handler(
            self.put,
            request_deserializer=storage_pb2.PutRequest.FromString,
            response_serializer=storage_pb2.PutResponse.SerializeToString,
        )
        name = storage_pb2.DESCRIPTOR.services_by_name["StorageService"].full_name
        return grpc.method_handlers_generic_handler(name, {"Put": put})


class OneStub:
    """Leads to the one node there is."""

    def __init__(self, stub: storage_pb2_grpc.StorageServiceAsyncStub) -> None:
        self._stub = stub

    async def stub(self, _node: str) -> storage_pb2_grpc.StorageServiceAsyncStub:
        return self._stub


@pytest.fixture
def older() -> OlderNode:
    return OlderNode()


@pytest.fixture
async def nodes(older: OlderNode) -> AsyncIterator[Nodes]:
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((older.handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS) as channel:
        yield Nodes(OneStub(storage_pb2_grpc.StorageServiceStub(channel)))  # type: ignore[arg-type]
    await server.stop(None)


async def filled(content: bytes) -> Part:
    part = Part(limit_bytes=len(content))
    await part.fill(content)
    return part


async def test_a_small_file_is_sent_as_a_stream_to_a_node_that_only_takes_streams(older, nodes):
    stored = await nodes.put("older", "0123456789abcdef/file", await filled(b"content"), epoch=1)
    assert older.files == {"0123456789abcdef/file": b"content"}
    assert (stored.key, stored.size_bytes) == ("0123456789abcdef/file", 7)


async def test_what_such_a_node_refuses_stays_refused(older, nodes):
    older.files["0123456789abcdef/file"] = b"another"
    with pytest.raises(ConflictError):
        await nodes.put("older", "0123456789abcdef/file", await filled(b"content"), epoch=1)
    assert older.files == {"0123456789abcdef/file": b"another"}
