"""Deleted videos leave every node, those that were down as well."""

from __future__ import annotations

import asyncio
import os

import pytest

from services.shared.catalog.keys import grave, purged, tombstone
from services.shared.errors import ConflictError, NotFoundError
from services.shared.filenames import init_file, poster_file, segment_file, source_part_file
from services.shared.video import new_video_id
from tests.harness.storage import StorageCluster
from tests.harness.waiting import eventually


async def bury(storage: StorageCluster, video_id: str) -> None:
    await storage.client.put(tombstone(video_id), b"0")


async def purged_by(storage: StorageCluster, video_id: str) -> set[str]:
    prefix = purged(video_id, "")
    return {kv.key.removeprefix(prefix) async for kv in storage.client.range(prefix)}


def everyone(storage: StorageCluster) -> set[str]:
    return {node.id for node in storage.nodes}


async def test_a_deleted_video_leaves_all_nodes_and_others_stay(storage, content):
    doomed, kept = new_video_id(), new_video_id()
    for number in range(20):
        await content.put(f"{doomed}/f{number}", os.urandom(1000))
        await content.put(f"{kept}/f{number}", os.urandom(1000))
    await bury(storage, doomed)

    async def all_purged() -> bool:
        return await purged_by(storage, doomed) == everyone(storage)

    await eventually(all_purged, what="every node has purged")
    for node in storage.nodes:
        assert await node.keys(doomed) == set()
    with pytest.raises(NotFoundError):
        await content.get_bytes(f"{doomed}/f1")
    assert len(await content.get_bytes(f"{kept}/f1")) == 1000


async def test_a_node_that_was_down_purges_when_it_returns(storage, content):
    video_id, absent = new_video_id(), storage.nodes[1]
    for number in range(10):
        await content.put(f"{video_id}/f{number}", b"content")
    absent.server.kill()
    await bury(storage, video_id)

    async def others_purged() -> bool:
        return await purged_by(storage, video_id) == everyone(storage) - {absent.id}

    await eventually(others_purged, what="the other nodes have purged")
    absent.server.start()

    async def all_purged() -> bool:
        return await purged_by(storage, video_id) == everyone(storage)

    await eventually(all_purged, what="every node has purged")
    assert await absent.keys(video_id) == set()


async def test_nothing_can_be_added_to_a_deleted_video(storage, content):
    video_id = new_video_id()
    await bury(storage, video_id)

    async def all_purged() -> bool:
        return await purged_by(storage, video_id) == everyone(storage)

    await eventually(all_purged, what="every node knows")
    with pytest.raises(ConflictError, match="deleted"):
        await content.put(f"{video_id}/file", b"content")
    for node in storage.nodes:
        assert await node.keys(video_id) == set()


async def test_writers_and_a_deletion_at_the_same_time_leave_nothing_behind(storage, content):
    video_id, written = new_video_id(), 0

    async def write(writer: int) -> None:
        nonlocal written
        for number in range(500):
            await content.put(f"{video_id}/w{writer}-{number}", os.urandom(2000))
            written += 1

    writers = [asyncio.create_task(write(writer)) for writer in range(6)]
    await eventually(lambda: written > 20, what="files are written")
    await bury(storage, video_id)
    outcomes = await asyncio.gather(*writers, return_exceptions=True)
    assert all(isinstance(outcome, ConflictError) for outcome in outcomes)

    async def all_purged() -> bool:
        return await purged_by(storage, video_id) == everyone(storage)

    await eventually(all_purged, what="every node has purged")
    for node in storage.nodes:
        assert await node.keys(video_id) == set()
        assert not list(node.data.glob("tmp/*"))


async def test_one_generation_of_a_video_goes_and_the_rest_stays(storage, content):
    video_id = new_video_id()
    gone = [
        segment_file("720p", 0, 7),
        init_file("a0", 0),
        poster_file(0),
        source_part_file(0, stem="remuxed-g0"),
    ]
    kept = [source_part_file(0), segment_file("720p", 1, 7), segment_file("720p", 10, 7)]
    for file in (*gone, *kept):
        await content.put(f"{video_id}/{file}", b"content")
    name = grave(video_id, 0)
    await bury(storage, name)

    async def all_purged() -> bool:
        return await purged_by(storage, name) == everyone(storage)

    await eventually(all_purged, what="every node has purged")
    left = set().union(*[await node.keys(video_id) for node in storage.nodes])
    assert left == {f"{video_id}/{file}" for file in kept}
    with pytest.raises(ConflictError, match="deleted"):
        await content.put(f"{video_id}/{segment_file('720p', 0, 8)}", b"late")
