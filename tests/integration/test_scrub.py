"""Damage that nobody reads is found all the same, and a node that dies goes on scrubbing where it was."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from services.shared.content import ContentStore
from services.shared.ring.placement import partition_of
from services.shared.video import new_video_id
from services.storage.upkeep.scrub import read_place
from tests.harness.etcd import EtcdCluster
from tests.harness.storage import StorageCluster, StorageNode, storage_cluster
from tests.harness.waiting import eventually

DEADLINE_S = 60.0
RESTLESS = ("--scrub-pause-s", "0", "--scrub-bytes-per-s", "100e6")
SLOW = ("--scrub-pause-s", "0", "--scrub-bytes-per-s", "500e3")


@pytest_asyncio.fixture
async def restless(ring_etcd: EtcdCluster, tmp_path: Path) -> AsyncIterator[StorageCluster]:
    """Nodes that scrub without rest."""
    async with storage_cluster(tmp_path, ring_etcd, options=RESTLESS) as cluster:
        yield cluster


async def files(content: ContentStore, count: int, size_bytes: int) -> dict[str, bytes]:
    video_id = new_video_id()
    stored = {f"{video_id}/{number}": os.urandom(size_bytes) for number in range(count)}
    for key, data in stored.items():
        await content.put(key, data)
    return stored


async def whole_on(nodes: list[StorageNode], key: str, data: bytes) -> None:
    def sound() -> bool:
        return all(node.object_path(key).read_bytes()[: len(data)] == data for node in nodes)

    await eventually(sound, deadline_s=DEADLINE_S, what=f"{key} is whole on {len(nodes)} nodes")


async def test_damage_that_nobody_reads_is_found_and_mended(restless):
    async with restless.content() as content:
        stored = await files(content, 12, 50_000)
    for key, data in stored.items():
        await whole_on(restless.owners(key), key, data)
    flipped, cut, gone = [*stored][:3]
    restless.owners(flipped)[0].flip_bit(flipped, 40_000)
    with restless.owners(cut)[1].object_path(cut).open("r+b") as file:
        file.truncate(100)
    restless.owners(gone)[0].object_path(gone).unlink()
    for key in (flipped, cut, gone):
        await whole_on(restless.owners(key), key, stored[key])


async def test_a_node_killed_in_the_middle_of_a_round_goes_on_where_it_was(ring_etcd, tmp_path):
    async with storage_cluster(tmp_path, ring_etcd, count=1, replicas=1, options=SLOW) as cluster:
        (node,) = cluster.nodes
        async with cluster.content() as content:
            stored = await files(content, 60, 200_000)
        order = sorted(stored, key=lambda key: (partition_of(key), key))
        before = await next_place(node, order, behind=-1)
        assert before < len(order) - 1
        node.server.kill()
        node.server.start()
        await node.writable()
        after = await next_place(node, order, behind=before)
        assert after > before


async def next_place(node: StorageNode, order: list[str], *, behind: int) -> int:
    """The first place that is saved which is not `behind`; it never goes back, nor has a round ended."""

    def moved() -> int | None:
        place = read_place(node.data / "scrub.json")
        number = order.index(place.after) if place.after else -1
        assert number >= behind, "the place went back"
        return number if number > behind else None

    return await eventually(moved, deadline_s=DEADLINE_S, what="the scrubber's next place")
