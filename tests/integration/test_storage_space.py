"""Nodes that are full: refused in words, nothing left behind, room again after a deletion."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from services.shared.catalog.keys import tombstone
from services.shared.content import ContentStore
from services.shared.errors import OutOfSpaceError
from services.shared.video import new_video_id
from tests.harness.etcd import etcd_members
from tests.harness.storage import StorageCluster, StorageNode, storage_cluster
from tests.harness.waiting import eventually

MIB = 1 << 20
CAPACITY_BYTES = 12 * MIB


@pytest_asyncio.fixture(scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StorageCluster]:
    folder = tmp_path_factory.mktemp("small")
    options = ("--capacity-bytes", str(CAPACITY_BYTES), "--reserve-fraction", "0.1")
    async with (
        etcd_members(folder / "etcd", count=1) as etcd,
        storage_cluster(folder, etcd, options=options) as cluster,
    ):
        yield cluster


async def test_full_nodes_refuse_files_leave_nothing_and_take_them_after_a_deletion(small):
    video_id = new_video_id()
    async with small.content() as content:
        stored: list[str] = []
        with pytest.raises(OutOfSpaceError):
            await fill(content, video_id, stored)
        assert len(stored) >= 10
        for node in small.nodes:
            answer = await node.describe()
            assert answer.capacity_bytes == CAPACITY_BYTES
            assert answer.stored_bytes <= CAPACITY_BYTES * 0.9
            await eventually(partial(has_no_stage, node), what="tmp is empty")
        assert len(await content.get_bytes(stored[0])) == MIB

        await small.client.put(tombstone(video_id), b"0")
        for node in small.nodes:
            await eventually(partial(is_empty, node), what="the node is empty")
        await content.put(f"{new_video_id()}/file", os.urandom(MIB))


async def test_a_file_that_grows_past_the_reserve_is_refused_and_removed(small):
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield os.urandom(MIB)

    key = f"{new_video_id()}/file"
    async with small.content() as content:
        with pytest.raises(OutOfSpaceError):
            await content.put(key, endless())
    for node in small.nodes:
        assert await node.has(key) == set()
        await eventually(partial(has_no_stage, node), what="tmp is empty")


async def fill(content: ContentStore, video_id: str, stored: list[str]) -> None:
    for number in range(100):
        await content.put(f"{video_id}/f{number}", os.urandom(MIB))
        stored.append(f"{video_id}/f{number}")


async def is_empty(node: StorageNode) -> bool:
    return bool((await node.describe()).files == 0)


def has_no_stage(node: StorageNode) -> bool:
    return not list(node.data.glob("tmp/*"))
