"""Forming the ring and retiring deletions, on a real etcd, by several admins at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from services.admin.files.retirement import Retirement
from services.admin.membership.coordinator import Coordinator
from services.shared.catalog import keys
from services.shared.etcd import EtcdClient
from services.shared.lifecycle import background
from services.shared.ring.state import STATE_KEY, TABLE_PREFIX
from services.shared.topology import Topology
from tests.harness.etcd import EtcdCluster
from tests.harness.ring import live_nodes, publish, ring_state
from tests.harness.waiting import eventually

DEADLINE_S = 60.0


@asynccontextmanager
async def admin(etcd: EtcdCluster, *, bootstrap_nodes: int = 3) -> AsyncIterator[Topology]:
    """One admin instance with connections of its own."""
    async with (
        EtcdClient.connect(etcd.endpoints, deadline_s=2.0) as client,
        Topology.follow(client) as topology,
    ):
        coordinator = Coordinator(client, topology, replicas=2, bootstrap_nodes=bootstrap_nodes)
        async with background(coordinator.run()):
            yield topology


async def test_the_ring_is_formed_once_enough_nodes_are_live(ring_etcd, ring_client):
    async with admin(ring_etcd) as topology, live_nodes(ring_client, "a", "b"):
        await eventually(lambda: len(topology.live) == 2, deadline_s=DEADLINE_S, what="two live nodes")
        assert await ring_client.get(STATE_KEY) is None
        async with live_nodes(ring_client, "c"):
            view = await topology.ready(DEADLINE_S)
            assert set(view.state.nodes) == {"a", "b", "c"}
            assert view.state.epoch == 1
            assert view.cur.replicas == 2


async def test_many_admins_form_one_ring(ring_etcd, ring_client):
    async with AsyncExitStack() as stack:
        admins = [await stack.enter_async_context(admin(ring_etcd)) for _ in range(6)]
        await stack.enter_async_context(live_nodes(ring_client, "a", "b", "c", "d"))
        views = [await topology.ready(DEADLINE_S) for topology in admins]
        assert len({view.state.cluster_id for view in views}) == 1
        kv = await ring_client.get(STATE_KEY)
        assert kv is not None
        assert kv.version == 1
        assert len([kv async for kv in ring_client.range(TABLE_PREFIX)]) == 1


async def test_a_ring_that_exists_is_left_alone(ring_client):
    state, table = ring_state(["a", "b", "c"], epoch=7)
    await publish(ring_client, state, table)
    async with live_nodes(ring_client, "d", "e", "f"), Topology.follow(ring_client) as topology:
        await Coordinator(ring_client, topology, replicas=2, bootstrap_nodes=1).form()
        assert (await topology.refresh()).state == state


async def test_an_outage_of_etcd_only_delays_the_forming(ring_etcd):
    ring_etcd.members[0].kill()
    async with admin(ring_etcd, bootstrap_nodes=1) as topology:
        await asyncio.to_thread(ring_etcd.members[0].start)
        async with EtcdClient.connect(ring_etcd.endpoints) as client, live_nodes(client, "a"):
            assert set((await topology.ready(DEADLINE_S)).state.nodes) == {"a"}


async def bury(client: EtcdClient, video_id: str, *purged_by: str, at_ms: int = 0) -> None:
    await client.put(keys.tombstone(video_id), str(at_ms).encode())
    for node in purged_by:
        await client.put(keys.purged(video_id, node), b"")


async def left(client: EtcdClient) -> set[str]:
    return {
        kv.key for prefix in (keys.TOMBSTONES, "purged/") for kv in (await client.range_snapshot(prefix)).kvs
    }


async def test_a_tombstone_goes_when_every_node_ever_registered_has_purged(ring_client):
    await publish(ring_client, *ring_state(["a", "b"]))
    await bury(ring_client, "v1", "a", "b")
    await bury(ring_client, "v2", "a")
    await bury(ring_client, "v3", "a", "b", "stranger")
    assert await Retirement(ring_client).round() == 2
    assert await left(ring_client) == {"tombstones/v2", "purged/v2/a"}


async def test_a_fresh_tombstone_stays_for_writes_under_way(ring_client):
    await publish(ring_client, *ring_state(["a"]))
    await bury(ring_client, "v1", "a", at_ms=9_999_999_999_999)
    assert await Retirement(ring_client).round() == 0
    assert await left(ring_client) == {"tombstones/v1", "purged/v1/a"}


async def test_without_a_ring_nothing_is_retired(ring_client):
    await bury(ring_client, "v1", "a")
    assert await Retirement(ring_client).round() == 0


async def test_rounds_are_bounded_and_come_to_every_tombstone(ring_client):
    await publish(ring_client, *ring_state(["a"]))
    for number in range(10):
        await bury(ring_client, f"v{number}", *(["a"] if number % 2 else []))
    retirement = Retirement(ring_client, batch=3)
    assert [await retirement.round() for _ in range(4)] == [1, 2, 1, 1]
    await ring_client.put(keys.purged("v0", "a"), b"")
    assert await retirement.round() == 1
