from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

import pytest

from services.shared.content.part import Part
from services.shared.errors import TooLargeError
from services.shared.rpc import CHUNK_BYTES


async def read(part: Part) -> bytes:
    chunks = [chunk async for chunk in part.chunks()]
    assert all(len(chunk) <= CHUNK_BYTES for chunk in chunks)
    return b"".join(chunks)


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def test_readers_from_before_during_and_after_all_get_the_whole_content():
    data = [os.urandom(size) for size in (10, CHUNK_BYTES + 1, 0, 3 * CHUNK_BYTES)]
    part, half_way, go_on = Part(limit_bytes=10_000_000), asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield data[0]
        yield data[1]
        half_way.set()
        await go_on.wait()
        yield data[2]
        yield data[3]

    before = asyncio.create_task(read(part))
    filling = asyncio.create_task(part.fill(source()))
    await half_way.wait()
    during = asyncio.create_task(read(part))
    assert part.completed_at is None
    go_on.set()
    await filling
    for received in (await before, await during, await read(part)):
        assert received == b"".join(data)
    assert part.sha256 == hashlib.sha256(b"".join(data)).digest()
    assert part.size_bytes == sum(map(len, data))
    assert part.completed_at is not None


async def test_bytes_are_taken_whole():
    part, data = Part(limit_bytes=1_000_000), os.urandom(1_000_000)
    await part.fill(data)
    assert await read(part) == data
    empty = Part(limit_bytes=0)
    await empty.fill(b"")
    assert await read(empty) == b""


async def test_more_than_the_limit_is_refused():
    with pytest.raises(TooLargeError):
        await Part(limit_bytes=5).fill(pieces(b"123", b"456"))


async def test_a_failing_source_is_reported_and_the_part_stays_incomplete():
    async def failing() -> AsyncIterator[bytes]:
        yield b"x"
        raise ConnectionResetError

    part = Part(limit_bytes=5)
    with pytest.raises(ConnectionResetError):
        await part.fill(failing())
    assert part.completed_at is None
