"""Nodes come and go while people watch and upload: nobody notices, and files end up where they belong."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Final

import pytest

from services.shared.ring.placement import PARTITIONS
from services.shared.ring.state import NodeState
from services.shared.ring.table import RingTable
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.video import new_video_id
from tests.harness.cluster import MIB, REPLICAS, Cluster
from tests.harness.ledger import objects
from tests.harness.operator import Operator, operator
from tests.harness.storage import sha256
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(600)

SMALL_DISK: Final = {"TRITONTUBE_CAPACITY_BYTES": str(2 * MIB)}


def moved_share(before: RingTable, after: RingTable) -> float:
    """How much of all copies has a new owner."""
    moved = [
        owner
        for partition in range(PARTITIONS)
        for owner in after.owners(partition)
        if owner not in before.owners(partition)
    ]
    return len(moved) / (PARTITIONS * REPLICAS)


# ---- scenarios 1 and 2 ----


async def test_a_node_added_under_load_fails_no_read_and_moves_no_more_than_its_share(
    cluster: Cluster,
) -> None:
    before = cluster.view.cur
    async with cluster.load() as load, operator(cluster.admin) as ops:
        joiner = await cluster.new_node()
        await ops.done(await ops.add(joiner))
        await load.more_reads(50)
    load.assert_unnoticed()
    await cluster.settled(load.stored)
    assert moved_share(before, cluster.view.cur) == pytest.approx(1 / len(cluster.nodes), abs=0.01)
    assert cluster.members(NodeState.ACTIVE) == cluster.nodes


async def test_a_node_drained_under_load_fails_no_read_and_ends_empty(cluster_of_four: Cluster) -> None:
    cluster, leaver = cluster_of_four, cluster_of_four.nodes[0]
    before = cluster.view.cur
    async with cluster.load() as load, operator(cluster.admin) as ops:
        await ops.done(await ops.drain(leaver))
        await load.more_reads(50)
    load.assert_unnoticed()
    await cluster.settled(load.stored)
    await cluster.empty(leaver)
    assert moved_share(before, cluster.view.cur) == pytest.approx(1 / len(cluster.nodes), abs=0.01)
    assert cluster.members(NodeState.REMOVED) == [leaver]


# ---- scenarios 13 and 14 ----


@pytest.mark.chaos
async def test_of_two_changes_at_once_the_second_is_queued_and_both_complete(cluster: Cluster) -> None:
    first, second = await cluster.new_node(), await cluster.new_node()
    began = cluster.view.epoch
    async with cluster.load() as load, operator(cluster.admin) as ops:
        asked = await asyncio.gather(ops.add(first), ops.add(second))
        await cluster.moving()
        states = {change.state for change in (await ops.changes()).values()}
        assert {pb.REQUEST_STATE_RUNNING, pb.REQUEST_STATE_QUEUED} <= states
        for request in asked:
            await ops.done(request)
    load.assert_no_read_failed()
    await cluster.settled(load.stored)
    assert cluster.view.epoch == began + 4, "each change is one epoch to begin and one to end"
    assert cluster.members(NodeState.ACTIVE) == cluster.nodes


@pytest.mark.chaos
async def test_one_request_made_twice_is_one_change(cluster: Cluster) -> None:
    joiner = await cluster.new_node()
    began = cluster.view.epoch
    async with cluster.load() as load, operator(cluster.admin) as ops:
        first, again = await asyncio.gather(*(ops.add(joiner, request_id="one-node") for _ in range(2)))
        assert first.request_id == again.request_id == "one-node"
        await ops.done(first)
        late = await ops.add(joiner, request_id="one-node")
        assert late.state == pb.REQUEST_STATE_DONE
    await cluster.settled(load.stored)
    assert cluster.view.epoch == began + 2


# ---- scenario 15 ----


async def test_an_upload_across_a_ring_move_is_acknowledged_once_on_the_new_owners(cluster: Cluster) -> None:
    joiner, data = await cluster.new_node(), os.urandom(4 * MIB)
    underway, moved = asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield data[: 2 * MIB]
        underway.set()
        await moved.wait()
        yield data[2 * MIB :]

    async with cluster.load() as load, cluster.content() as content, operator(cluster.admin) as ops:
        putting = asyncio.create_task(content.put(f"{new_video_id()}/upload", source()))
        await underway.wait()
        await ops.done(await ops.add(joiner))
        moved.set()
        file = await putting
    assert (file.size_bytes, file.sha256) == (len(data), sha256(data))
    await cluster.settled({**load.stored, file.key: file})


# ---- scenarios 22 and 25 ----


async def explanation(ops: Operator) -> str:
    """What some node of the change in progress says that it waits for."""
    return " ".join(filter(None, (node.waiting_for for node in (await ops.status()).progress)))


async def assert_aborted(
    ops: Operator, cluster: Cluster, request: pb.ChangeRequest, table: RingTable
) -> None:
    """Take a change back, and see that the ring is as it was."""
    await ops.done(await ops.abort())
    assert (await ops.ended(request)).state == pb.REQUEST_STATE_ABORTED
    assert (await cluster.stable()).cur.id == table.id


@pytest.mark.chaos
async def test_a_change_whose_joiner_is_full_waits_says_so_and_can_be_aborted(cluster: Cluster) -> None:
    table = cluster.view.cur
    joiner = await cluster.new_node(SMALL_DISK)
    async with cluster.load() as load, operator(cluster.admin) as ops:
        request = await ops.add(joiner)
        words = await eventually(lambda: explanation(ops), deadline_s=120, what="it says what it waits for")
        assert "full" in words
        assert (await ops.status()).phase == pb.PHASE_MIGRATING
        await assert_aborted(ops, cluster, request, table)
    load.assert_no_read_failed()
    await cluster.settled(load.stored)
    await cluster.empty(joiner)


async def test_an_abort_half_way_leaves_files_on_exactly_the_old_owners(cluster: Cluster) -> None:
    table = cluster.view.cur
    joiner = await cluster.new_node()
    async with cluster.load() as load, operator(cluster.admin) as ops:
        request = await ops.add(joiner)
        await cluster.received(joiner)
        await assert_aborted(ops, cluster, request, table)
    load.assert_no_read_failed()
    await cluster.settled(load.stored)
    await cluster.empty(joiner)
    assert not any(objects(node).keys() & objects(joiner).keys() for node in cluster.nodes)
