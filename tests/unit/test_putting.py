from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.shared.content.putting import Step, steps
from services.shared.stubs.tritontube.storage.v1 import storage_pb2

HEADER = storage_pb2.PutHeader(key="video/file", epoch=3)


async def taken(*chunks: bytes) -> list[Step]:
    read = bytearray()

    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            read.extend(chunk)
            yield chunk

    def commit() -> storage_pb2.PutCommit:
        return storage_pb2.PutCommit(epoch=3, size_bytes=len(read), sha256=b"digest")

    return [step async for step in steps(HEADER, source(), commit)]


@pytest.mark.parametrize("chunks", [(), (b"all of it",)])
async def test_a_file_of_a_chunk_or_none_is_one_step(chunks: tuple[bytes, ...]):
    (only,) = await taken(*chunks)
    assert only.header == HEADER
    assert only.chunk == b"".join(chunks)
    assert only.commit is not None
    assert only.commit.size_bytes == len(only.chunk)


async def test_a_longer_one_takes_a_step_for_each_chunk_and_none_for_header_and_commit():
    chunks = (b"first", b"second", b"third")
    first, second, third = await taken(*chunks)
    assert (first.chunk, second.chunk, third.chunk) == chunks
    assert (first.header, second.header, third.header) == (HEADER, None, None)
    assert (first.commit, second.commit) == (None, None)
    assert third.commit is not None
    assert third.commit.size_bytes == len(b"".join(chunks))
