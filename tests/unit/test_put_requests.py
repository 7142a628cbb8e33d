from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.shared.content.put_requests import put_requests
from services.shared.stubs.tritontube.storage.v1 import storage_pb2

HEADER = storage_pb2.PutHeader(key="video/file", epoch=3)


async def sent(*chunks: bytes) -> list[storage_pb2.PutRequest]:
    read = bytearray()

    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            read.extend(chunk)
            yield chunk

    def commit() -> storage_pb2.PutCommit:
        return storage_pb2.PutCommit(epoch=3, size_bytes=len(read), sha256=b"digest")

    return [request async for request in put_requests(HEADER, source(), commit)]


@pytest.mark.parametrize("chunks", [(), (b"all of it",)])
async def test_a_file_of_a_chunk_or_none_is_one_message(chunks: tuple[bytes, ...]):
    (only,) = await sent(*chunks)
    assert only.header == HEADER
    assert only.chunk == b"".join(chunks)
    assert only.commit.size_bytes == len(only.chunk)


async def test_a_longer_one_takes_a_message_for_each_chunk_and_none_for_header_and_commit():
    chunks = (b"first", b"second", b"third")
    requests = await sent(*chunks)
    assert [request.chunk for request in requests] == list(chunks)
    assert [request.HasField("header") for request in requests] == [True, False, False]
    assert [request.HasField("commit") for request in requests] == [False, False, True]
    assert requests[-1].commit.size_bytes == len(b"".join(chunks))
