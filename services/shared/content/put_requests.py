"""What is said to a node that shall store a file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable

from grpc import StatusCode
from grpc.aio import AioRpcError

from services.shared.stubs.tritontube.storage.v1 import storage_pb2, storage_pb2_grpc


async def put_requests(
    header: storage_pb2.PutHeader,
    chunks: AsyncIterable[bytes],
    commit: Callable[[], storage_pb2.PutCommit],
) -> AsyncGenerator[storage_pb2.PutRequest, None]:
    """Header, data and commit in as few messages as possible: each wakes up several threads at both ends.

    So a chunk is held back until it is known whether it is the last one. `commit` is asked for after that.
    """
    opening: storage_pb2.PutHeader | None = header
    held = b""
    async for chunk in chunks:
        if held:
            yield storage_pb2.PutRequest(header=opening, chunk=held)
            opening = None
        held = chunk
    yield storage_pb2.PutRequest(header=opening, chunk=held, commit=commit())


async def put_small(
    stub: storage_pb2_grpc.StorageServiceAsyncStub, request: storage_pb2.PutSmallRequest
) -> storage_pb2.FileInfo | None:
    """Send a file of one chunk at most in one message. None: the node's version takes streams only.

    Raises:
        AioRpcError: the node refused it, or is away.
    """
    try:
        return (await stub.PutSmall(request)).info
    except AioRpcError as failure:
        if failure.code() is not StatusCode.UNIMPLEMENTED:
            raise
        return None
