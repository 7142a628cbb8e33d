"""The source as ffmpeg reads it: byte ranges over loopback, from a real ring of three nodes."""

from __future__ import annotations

import asyncio
import hashlib
import random

import httpx
import pytest

from services.shared.content import ContentStore
from services.shared.errors import UnavailableError
from services.shared.video import Source, new_video_id
from services.transcoder import feed as feed_module
from services.transcoder.feed import SourceFeed
from services.transcoder.process import Limits, collect
from services.transcoder.sandbox import sandbox
from tests.harness.storage import StorageCluster

MIB = 1 << 20
DATA = random.Random(7).randbytes(5 * MIB + 4321)
PART_BYTES = MIB + MIB // 2
"""Not a multiple of the feed's blocks, so that blocks span parts."""
PATIENCE_S = 0.2


async def stored(content: ContentStore) -> tuple[str, Source]:
    video_id = new_video_id()
    parts = [DATA[start : start + PART_BYTES] for start in range(0, len(DATA), PART_BYTES)]
    source = Source(
        size_bytes=len(DATA),
        sha256=hashlib.sha256(DATA).hexdigest(),
        part_bytes=PART_BYTES,
        parts=len(parts),
    )
    for number, part in enumerate(parts):
        await content.put(f"{video_id}/{source.part_file(number)}", part)
    return video_id, source


async def get(url: str, span: str | None = None) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        return await http.get(url, headers={"Range": span} if span else {})


async def test_a_source_in_parts_reads_as_one_file(content: ContentStore):
    video_id, source = await stored(content)
    async with (
        SourceFeed.start(content, cache_bytes=8 * MIB) as feed,
        feed.offer(video_id, source) as offered,
    ):
        whole = await get(offered.url)
        assert whole.content == DATA
        offered.check()


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 0), (1, 99), (MIB - 1, MIB), (PART_BYTES - 10, PART_BYTES + 10), (3 * MIB + 5, None)],
)
async def test_any_range_is_exact(content: ContentStore, first: int, last: int | None):
    video_id, source = await stored(content)
    async with (
        SourceFeed.start(content, cache_bytes=8 * MIB) as feed,
        feed.offer(video_id, source) as offered,
    ):
        answer = await get(offered.url, f"bytes={first}-{'' if last is None else last}")
        end = len(DATA) - 1 if last is None else last
        assert answer.status_code == httpx.codes.PARTIAL_CONTENT
        assert answer.headers["content-range"] == f"bytes {first}-{end}/{len(DATA)}"
        assert answer.content == DATA[first : end + 1]


async def test_a_range_behind_the_end_is_refused(content: ContentStore):
    video_id, source = await stored(content)
    async with (
        SourceFeed.start(content, cache_bytes=8 * MIB) as feed,
        feed.offer(video_id, source) as offered,
    ):
        answer = await get(offered.url, f"bytes={len(DATA)}-")
        assert answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE


async def test_an_address_is_good_only_while_it_is_offered(content: ContentStore):
    video_id, source = await stored(content)
    async with SourceFeed.start(content, cache_bytes=8 * MIB) as feed:
        async with feed.offer(video_id, source) as offered:
            pass
        assert (await get(offered.url)).status_code == httpx.codes.NOT_FOUND


async def test_a_read_that_broke_off_is_not_taken_for_the_end_of_the_file(content: ContentStore):
    video_id, source = await stored(content)
    # Parts that nobody ever stored stand for parts that the ring cannot deliver.
    longer = source.model_copy(update={"size_bytes": source.size_bytes + 4 * MIB, "parts": source.parts + 3})
    async with (
        SourceFeed.start(content, cache_bytes=8 * MIB) as feed,
        feed.offer(video_id, longer) as offered,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await get(offered.url)
        with pytest.raises(UnavailableError, match="could not be read"):
            offered.check()


async def test_a_reader_may_take_all_the_time_it_needs(content: ContentStore, monkeypatch):
    video_id, source = await stored(content)
    monkeypatch.setattr(feed_module, "_REQUEST_TIMEOUT_S", PATIENCE_S)
    async with (
        SourceFeed.start(content, cache_bytes=8 * MIB) as feed,
        feed.offer(video_id, source) as offered,
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
        http.stream("GET", offered.url) as answer,
    ):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3 * PATIENCE_S)
        assert b"".join([chunk async for chunk in answer.aiter_raw()]) == DATA
        offered.check()


async def test_a_source_is_read_on_when_a_node_that_holds_it_dies(
    storage: StorageCluster, content: ContentStore
):
    video_id, source = await stored(content)
    async with (
        SourceFeed.start(content, cache_bytes=8 * MIB) as feed,
        feed.offer(video_id, source) as offered,
    ):
        storage.owners(f"{video_id}/{source.part_file(2)}")[0].server.kill()
        assert (await get(offered.url)).content == DATA
        offered.check()


async def test_ffmpeg_reads_a_source_from_within_a_network_where_there_is_nothing_else(content: ContentStore):
    video_id, source = await stored(content)
    copy = ("-map", "0", "-c", "copy", "-f", "data", "pipe:1")
    with sandbox() as box:
        if box.network is None:
            pytest.skip("this machine allows no network namespaces")
        async with (
            SourceFeed.start(content, cache_bytes=8 * MIB, listener=box.network.listener) as feed,
            feed.offer(video_id, source) as offered,
        ):
            command = ["ffmpeg", "-v", "error", "-f", "data", "-i", offered.url, *copy]
            limits = Limits(wall_s=60, sandbox=box)
            assert await collect(command, limits=limits, max_bytes=2 * len(DATA)) == DATA
            with pytest.raises(httpx.ConnectError):
                await get(offered.url)
