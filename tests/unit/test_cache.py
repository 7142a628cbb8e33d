"""The cache of hot files: what it holds, what it lets go, how often it reads."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from services.shared.errors import UnavailableError
from services.web.cache import Content, ContentCache

LIMIT = 100_000


class Shelf:
    """Where files come from."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()
        self.away = False

    async def load(self, key: str) -> Content:
        self.reads[key] += 1
        await asyncio.to_thread(bool)  # as a real read does, it lets others come in between
        if self.away:
            raise UnavailableError("away")
        size_bytes = int(key.rpartition("-")[2])
        held = None if key.startswith("large") else bytes(size_bytes)
        return Content(size_bytes=size_bytes, etag=key, data=held)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def cache(shelf: Shelf) -> ContentCache:
    return ContentCache(limit_bytes=LIMIT, load=shelf.load)


async def test_a_file_is_read_once_for_all_who_want_it_at_once_and_after(cache, shelf):
    contents = await asyncio.gather(*(cache.get("a-1000") for _ in range(50)))
    assert {content.etag for content in contents} == {"a-1000"}
    assert (await cache.get("a-1000")).size_bytes == 1000
    assert shelf.reads == {"a-1000": 1}


async def test_what_is_forgotten_while_it_is_read_is_not_kept(cache, shelf):
    reading = asyncio.create_task(cache.get("a-1000"))
    while not shelf.reads:
        await asyncio.to_thread(bool)
    cache.forget("a-")
    assert (await reading).size_bytes == 1000
    assert cache.held_bytes == 0
    await cache.get("a-1000")
    assert shelf.reads == {"a-1000": 2}


async def test_memory_stays_within_the_limit_and_the_oldest_leaves_first(cache, shelf):
    for number in range(6):
        await cache.get(f"{number}-20000")
        await cache.get("0-20000")  # used again and again: stays
        assert cache.held_bytes <= LIMIT
    await cache.get("5-20000")
    await cache.get("1-20000")
    assert shelf.reads["0-20000"] == 1
    assert shelf.reads["5-20000"] == 1
    assert shelf.reads["1-20000"] == 2


async def test_small_files_are_counted_with_what_it_takes_to_hold_them(cache):
    for number in range(1000):
        await cache.get(f"{number}-1")
    assert 0 < cache.held_bytes <= LIMIT


async def test_a_file_larger_than_the_cache_is_given_but_not_held(cache, shelf):
    await cache.get("b-200000")
    await cache.get("b-200000")
    assert shelf.reads["b-200000"] == 2
    assert cache.held_bytes == 0


async def test_of_a_file_that_is_streamed_only_its_facts_are_held(cache, shelf):
    assert (await cache.get("large-900000")).data is None
    assert (await cache.get("large-900000")).size_bytes == 900_000
    assert shelf.reads["large-900000"] == 1
    assert cache.held_bytes < 10_000


async def test_a_failure_is_not_held(cache, shelf):
    shelf.away = True
    with pytest.raises(UnavailableError):
        await cache.get("a-10")
    shelf.away = False
    assert (await cache.get("a-10")).size_bytes == 10


async def test_a_deleted_video_is_forgotten_and_no_other(cache, shelf):
    await cache.get("v1/a-10")
    await cache.get("v10/a-10")
    cache.forget("v1/")
    await cache.get("v1/a-10")
    await cache.get("v10/a-10")
    assert shelf.reads == {"v1/a-10": 2, "v10/a-10": 1}


async def test_a_cache_without_memory_works_all_the_same(shelf):
    cache = ContentCache(limit_bytes=0, load=shelf.load)
    assert (await cache.get("a-10")).size_bytes == 10
    assert cache.held_bytes == 0
