"""Deleted videos leave every node, those that were down as well."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.shared.catalog.keys import grave, purged, tombstone
from services.shared.errors import ConflictError, NotFoundError
from services.shared.etcd import EtcdClient
from services.shared.filenames import init_file, poster_file, segment_file, source_part_file
from services.shared.lifecycle import background
from services.shared.video import new_video_id
from services.storage import tombstones
from services.storage.disk.datafolder import DataFolder, opened
from services.storage.disk.disk import object_name
from services.storage.fence import Obstacle
from services.storage.threads import Threads
from services.storage.tombstones import Tombstones
from tests.harness.etcd import EtcdCluster
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


async def test_a_folder_in_the_place_of_an_object_keeps_no_deleted_video_on_the_node(storage, content):
    spoilt, other = new_video_id(), new_video_id()
    for number in range(3):
        await content.put(f"{spoilt}/f{number}", b"content")
        await content.put(f"{other}/f{number}", b"content")
    await storage.at_its_owners(f"{spoilt}/f1")
    path = storage.owners(f"{spoilt}/f1")[0].object_path(f"{spoilt}/f1")
    path.unlink()
    path.mkdir()
    for video_id in (spoilt, other):
        await bury(storage, video_id)

    async def all_purged() -> bool:
        return all([await purged_by(storage, video) == everyone(storage) for video in (spoilt, other)])

    await eventually(all_purged, what="every node has purged both")
    for node in storage.nodes:
        assert await node.keys(spoilt) | await node.keys(other) == set()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    """Of a node that is none: its disk alone."""
    with opened(tmp_path / "data", reserve_fraction=0, capacity_bytes=None) as folder:
        folder.store.fence.adopt(1)
        for obstacle in Obstacle:
            folder.store.fence.clear(obstacle)
        yield folder


async def test_a_file_that_resists_is_tried_again_later_and_other_videos_go_meanwhile(
    ring_etcd: EtcdCluster, folder: DataFolder, monkeypatch: pytest.MonkeyPatch
):
    stubborn, other = sorted([new_video_id(), new_video_id()])
    for key in (f"{stubborn}/f", f"{other}/f"):
        with folder.store.stage() as stage:
            stage.append(b"content")
            folder.store.publish(stage, key=key, epoch=1)
    monkeypatch.setattr(tombstones, "_RETRY_S", 0.1)
    monkeypatch.setattr(os, "unlink", refusing(object_name(f"{stubborn}/f")))
    async with EtcdClient.connect(ring_etcd.endpoints) as etcd:
        for video_id in (stubborn, other):
            await etcd.put(tombstone(video_id), b"0")
        node_id = folder.identity.node_id
        with Threads(1) as threads:
            follower = Tombstones(etcd=etcd, store=folder.store, threads=threads, node_id=node_id)
            async with background(follower.follow(), follower.purge()):
                await eventually(lambda: etcd.get(purged(other, node_id)), what="the other one is purged")
                assert await etcd.get(purged(stubborn, node_id)) is None
                monkeypatch.undo()
                await eventually(lambda: etcd.get(purged(stubborn, node_id)), what="it is purged, too")
    assert folder.store.index.totals.files == 0


def refusing(name: str):
    """`os.unlink` that fails for a file of this name."""
    unlink = os.unlink

    def call(path, *args, **kwargs):
        if Path(path).name == name:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        unlink(path, *args, **kwargs)

    return call
