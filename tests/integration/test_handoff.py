"""Files follow the ring: nodes hand over what others should have, and drop what is not theirs any more."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest_asyncio

from services.shared.ring.state import NodeState
from services.shared.video import new_video_id
from tests.harness.changes import Changes
from tests.harness.etcd import EtcdCluster
from tests.harness.storage import StorageCluster, storage_cluster
from tests.harness.waiting import eventually

KIB = 1 << 10


@pytest_asyncio.fixture
async def cluster(tmp_path: Path, ring_etcd: EtcdCluster) -> AsyncIterator[StorageCluster]:
    """Three nodes, two copies; copies that belong to others go at once."""
    options = ("--delete-grace-s", "0", "--repair-interval-s", "2")
    async with storage_cluster(tmp_path, ring_etcd, options=options) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def changes(cluster: StorageCluster) -> Changes:
    return Changes(cluster)


async def fill(cluster: StorageCluster, *, count: int = 40, size_bytes: int = 64 * KIB) -> dict[str, bytes]:
    """Store some files; by key, what is in them."""
    video_id = new_video_id()
    files = {f"{video_id}/file-{number}": os.urandom(size_bytes) for number in range(count)}
    async with cluster.content() as content:
        for key, data in files.items():
            await content.put(key, data)
    return files


async def everything_in_place(cluster: StorageCluster, files: Mapping[str, bytes]) -> None:
    """Wait until every file is on exactly its owners."""

    async def in_place() -> bool:
        for node in cluster.nodes:
            expected = {key for key in files if node in cluster.owners(key)}
            found = {file for file in files if node.object_path(file).exists()}
            assert found == expected, (node.data.name, found ^ expected)
        return True

    await eventually(in_place, deadline_s=60, what="files are on exactly their owners")


async def readable(cluster: StorageCluster, files: Mapping[str, bytes]) -> None:
    async with cluster.content() as content:
        for key, data in files.items():
            assert await content.get_bytes(key, limit_bytes=len(data)) == data


async def test_a_node_that_joins_gets_its_files_and_the_others_drop_theirs(cluster, changes):
    files = await fill(cluster)
    joiner = await cluster.candidate("--delete-grace-s", "0")
    await changes.add(joiner)
    await changes.commit()
    await everything_in_place(cluster, files)
    assert changes.state_of(joiner) is NodeState.ACTIVE
    assert (await joiner.describe()).files > 0
    await readable(cluster, files)
