"""Errors cross a real gRPC connection and come out as what they were."""

# ruff: noqa: ARG002, N802 - gRPC names the methods and hands a context to each

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from services.shared.errors import (
    AmbiguousError,
    ConflictError,
    CorruptFileError,
    FencedError,
    InvalidRequestError,
    NotFoundError,
    OutOfSpaceError,
    RequestError,
    StaleRingError,
    StrangerError,
    TooLargeError,
    TritonTubeError,
    UnavailableError,
)
from services.shared.rpc import CHANNEL_OPTIONS, SERVER_OPTIONS, ErrorTranslator, translated
from services.shared.stubs.tritontube.storage.v1 import storage_pb2 as pb
from services.shared.stubs.tritontube.storage.v1 import storage_pb2_grpc as pb_grpc

SENTENCE = "It did not work out."


class Failing(pb_grpc.StorageServiceServicer):
    """Fails every call with the error that the test asks for."""

    error: Exception = TritonTubeError(SENTENCE)

    async def Has(self, request: pb.HasRequest, context: Any) -> pb.HasResponse:
        raise self.error

    async def Get(self, request: pb.GetRequest, context: Any) -> AsyncIterator[pb.GetResponse]:
        yield pb.GetResponse(chunk=b"first")
        raise self.error

    async def Put(self, request_iterator: AsyncIterator[pb.PutRequest], context: Any) -> pb.PutResponse:
        async for _ in request_iterator:
            raise self.error
        return pb.PutResponse()

    async def Delete(self, request: pb.DeleteRequest, context: Any) -> pb.DeleteResponse:
        await asyncio.Event().wait()
        return pb.DeleteResponse()

    async def Describe(self, request: pb.DescribeRequest, context: Any) -> pb.DescribeResponse:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, SENTENCE)
        raise AssertionError


@pytest.fixture
async def failing() -> AsyncIterator[tuple[Failing, pb_grpc.StorageServiceAsyncStub]]:
    servicer = Failing()  # type: ignore[abstract]  # the other calls are not tried
    server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=[ErrorTranslator()])
    pb_grpc.add_StorageServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS) as channel:
        yield servicer, pb_grpc.StorageServiceStub(channel)
    await server.stop(grace=None)


@pytest.mark.parametrize(
    ("raised", "arrives"),
    [
        (InvalidRequestError, InvalidRequestError),
        (TooLargeError, InvalidRequestError),
        (RequestError, InvalidRequestError),
        (NotFoundError, NotFoundError),
        (ConflictError, ConflictError),
        (FencedError, FencedError),
        (CorruptFileError, CorruptFileError),
        (OutOfSpaceError, OutOfSpaceError),
        (UnavailableError, UnavailableError),
        (AmbiguousError, UnavailableError),
        (TritonTubeError, UnavailableError),
    ],
)
async def test_an_error_arrives_as_itself_or_its_nearest_kin_with_its_sentence(failing, raised, arrives):
    servicer, stub = failing
    servicer.error = raised(SENTENCE)
    with pytest.raises(TritonTubeError, match=SENTENCE) as caught, translated("node a"):
        await stub.Has(pb.HasRequest())
    assert type(caught.value) is arrives


async def test_a_stale_epoch_arrives_with_the_servers_epoch(failing):
    servicer, stub = failing
    servicer.error = StaleRingError(SENTENCE, epoch=12)
    with pytest.raises(StaleRingError, match=SENTENCE) as caught, translated("node a"):
        await stub.Has(pb.HasRequest())
    assert caught.value.epoch == 12


async def test_a_sentence_of_any_length_arrives_cut(failing):
    servicer, stub = failing
    servicer.error = InvalidRequestError("x" * 100_000)
    with pytest.raises(InvalidRequestError, match=r"^x{2000}$"), translated("node a"):
        await stub.Has(pb.HasRequest())


async def test_errors_end_streams_both_ways(failing):
    servicer, stub = failing
    servicer.error = NotFoundError(SENTENCE)
    responses = stub.Get(pb.GetRequest())
    assert await responses.read() == pb.GetResponse(chunk=b"first")
    with pytest.raises(NotFoundError), translated("node a"):
        await responses.read()
    with pytest.raises(NotFoundError), translated("node a"):
        await stub.Put(iter([pb.PutRequest(chunk=b"x")]))


async def test_a_defect_is_hidden_from_the_caller(failing, caplog):
    servicer, stub = failing
    servicer.error = RuntimeError("secret")
    with pytest.raises(UnavailableError, match="its log says how") as caught, translated("node a"):
        await stub.Has(pb.HasRequest())
    assert "secret" not in str(caught.value)
    assert "secret" in caplog.text


async def test_an_abort_of_the_servicers_own_passes_through(failing):
    _, stub = failing
    with pytest.raises(StrangerError, match=SENTENCE), translated("node a"):
        await stub.Describe(pb.DescribeRequest())


async def test_a_peer_that_is_not_there_is_unavailable_by_name():
    async with grpc.aio.insecure_channel("127.0.0.1:1", options=CHANNEL_OPTIONS) as channel:
        with pytest.raises(UnavailableError, match="node a cannot be reached"), translated("node a"):
            await pb_grpc.StorageServiceStub(channel).Has(pb.HasRequest(), timeout=20)


async def test_a_call_past_its_deadline_is_unavailable_by_name(failing):
    _, stub = failing
    with pytest.raises(UnavailableError, match="node a did not answer in time"), translated("node a"):
        await stub.Delete(pb.DeleteRequest(), timeout=0.1)


async def test_a_port_in_use_is_an_error_and_not_shared():
    first = grpc.aio.server(options=SERVER_OPTIONS)
    port = first.add_insecure_port("127.0.0.1:0")
    with pytest.raises(RuntimeError):
        grpc.aio.server(options=SERVER_OPTIONS).add_insecure_port(f"127.0.0.1:{port}")


async def test_what_does_not_speak_grpc_is_called_so():
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            with pytest.raises(UnavailableError, match="does not speak gRPC"), translated(address):
                await pb_grpc.StorageServiceStub(channel).Has(pb.HasRequest(), timeout=5.0)


async def test_another_grpc_service_is_not_taken_for_ours():
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with (
                pytest.raises(
                    StrangerError, match=f"^Something else answers at 127.0.0.1:{port}, .* right port"
                ),
                translated(f"127.0.0.1:{port}"),
            ):
                await pb_grpc.StorageServiceStub(channel).Describe(pb.DescribeRequest(), timeout=10.0)
    finally:
        await server.stop(grace=None)
