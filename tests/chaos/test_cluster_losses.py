"""Nodes die, for a while or for good, rightly or wrongly declared dead: no acknowledged file is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

import grpc
import pytest

from services.shared.catalog import keys
from services.shared.catalog.videos import now_ms
from services.shared.content import ContentStore, StoredFile
from services.shared.errors import NotFoundError, TritonTubeError
from services.shared.ring.state import NodeState
from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from services.shared.video import new_video_id
from services.storage.disk.disk import object_name
from tests.harness.cluster import Cluster
from tests.harness.gateway import gateway
from tests.harness.ledger import objects
from tests.harness.load import Demand
from tests.harness.operator import operator
from tests.harness.storage import StorageNode
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(600)

IMPATIENT: Final = {"TRITONTUBE_DEAD_AFTER_S": "2"}


# ---- scenarios 3 and 4 ----


async def test_reads_go_on_within_a_second_when_an_owner_is_killed(cluster: Cluster) -> None:
    async with cluster.load() as load:
        cluster.nodes[0].server.kill()
        await load.more_reads(300)
    load.assert_no_read_failed()
    load.assert_no_read_waited()


async def test_writes_with_an_owner_down_are_acknowledged_and_the_owner_is_filled_later(
    cluster: Cluster,
) -> None:
    absent = cluster.nodes[0]
    async with cluster.load() as load:
        absent.server.kill()
        before = load.stored
        await load.more_writes(20)
        missed = [key for key in load.stored if key not in before and absent in cluster.owners(key)]
        assert missed
        absent.server.start()
    assert load.refused == {}
    await cluster.settled(load.stored)


# ---- scenario 18 ----


async def test_a_destroyed_disk_is_marked_dead_and_all_its_copies_are_restored(cluster: Cluster) -> None:
    lost = cluster.nodes[0]
    lost_id = lost.id
    await cluster.new_admin(IMPATIENT)
    async with cluster.load() as load:
        cluster.destroy(lost)
        await eventually(lambda: is_removed(cluster, lost_id), deadline_s=120, what="it is given up")
    load.assert_no_read_failed()
    await cluster.settled(load.stored)


def is_removed(cluster: Cluster, node_id: str) -> bool:
    return cluster.view.state.nodes[node_id].state is NodeState.REMOVED


# ---- scenario 19 ----


@pytest.mark.chaos
async def test_a_death_during_an_add_plans_anew_and_all_copies_are_restored(cluster: Cluster) -> None:
    lost, joiner = cluster.nodes[0], await cluster.new_node()
    lost_id = lost.id
    async with cluster.load() as load, operator(cluster.admin) as ops:
        request = await ops.add(joiner)
        epoch = await cluster.moving()
        await cluster.received(joiner)
        cluster.destroy(lost)
        await cluster.away(lost_id)
        death = await ops.give_up(lost_id)
        await ops.done(death)
        await ops.done(request)
    assert cluster.view.epoch >= epoch + 2
    load.assert_no_read_failed()
    await cluster.settled(load.stored)
    assert cluster.members(NodeState.ACTIVE) == cluster.nodes
    assert is_removed(cluster, lost_id)


# ---- more than the copies allow ----


@pytest.mark.chaos
async def test_two_disks_lost_at_once_are_given_up_only_with_consent_and_what_is_left_is_copied(
    cluster_of_four: Cluster,
) -> None:
    cluster, lost = cluster_of_four, cluster_of_four.nodes[:2]
    async with cluster.load(Demand(largest_bytes=20_000)) as load:
        pass
    await cluster.settled(load.stored)
    first, second = (node.id for node in lost)
    for node in lost:
        cluster.destroy(node)
    left = {key: file for key, file in load.stored.items() if any(map(held(key), cluster.nodes))}
    gone = load.stored.keys() - left.keys()
    assert left
    assert gone
    async with operator(cluster.admin) as ops:
        await cluster.away(first)
        await cluster.away(second)
        deaths = [await ops.give_up(first)]
        await cluster.moving()
        with pytest.raises(grpc.aio.AioRpcError, match="files may be lost"):
            await ops.give_up(second)
        deaths.append(await ops.give_up(second, accept_data_loss=True))
        for death in deaths:
            await ops.done(death)
    await cluster.settled(left)
    async with cluster.content() as content:
        with pytest.raises(NotFoundError):
            await content.get_bytes(min(gone))


def held(key: str) -> Callable[[StorageNode], bool]:
    return lambda node: node.object_path(key).exists()


# ---- scenario 20 ----


@pytest.mark.chaos
async def test_a_removed_node_that_returns_with_stale_files_serves_nothing_and_resurrects_nothing(
    cluster: Cluster,
) -> None:
    gone = cluster.nodes[0]
    async with cluster.load() as load, operator(cluster.admin) as ops:
        gone.server.kill()
        await cluster.away(gone.id)
        await ops.done(await ops.give_up(gone.id))
        await load.more_writes(5)
    files = load.stored
    stale = [key for key in files if object_name(key) in objects(gone)]
    deleted_id = stale[0].partition("/")[0]
    await cluster.client.put(keys.tombstone(deleted_id), str(now_ms()).encode())
    deleted = [key for key in files if key.startswith(f"{deleted_id}/")]
    kept = {key: file for key, file in files.items() if key not in deleted}
    epoch = cluster.view.epoch

    gone.server.start()
    await gone.refuses_writes("removed")
    await assert_serves_nothing(gone, stale)
    await cluster.empty(gone)
    await cluster.settled(kept)
    assert cluster.view.epoch == epoch
    assert is_removed(cluster, gone.id)
    async with cluster.content() as content:
        for key in deleted[:3]:
            with pytest.raises(NotFoundError):
                await content.get_bytes(key)


async def assert_serves_nothing(node: StorageNode, stale: list[str]) -> None:
    async with node.stub() as stub:
        for key in stale[:5]:
            with pytest.raises(grpc.aio.AioRpcError):
                async for _ in stub.Get(storage_pb2.GetRequest(key=key), timeout=10):
                    pass


# ---- scenario 21 ----


@pytest.mark.chaos
async def test_a_wrongly_dead_node_that_still_takes_writes_loses_no_acknowledged_file(
    cluster: Cluster,
) -> None:
    async with gateway(cluster.folder, cluster.etcd.endpoints) as relay:
        wronged = await cluster.new_node(etcd=[relay.address])
        async with (
            operator(cluster.admin) as ops,
            cluster.load() as load,
            cluster.content([relay.address]) as cut_off,
        ):
            await ops.done(await ops.add(wronged))
            relay.process.kill()
            wronged.server.freeze()
            await cluster.away(wronged.id)
            await ops.done(await ops.give_up(wronged.id))
            # It wakes in the belief that nothing has happened, and so does who writes to it.
            wronged.server.thaw()
            stored = await put_some(cut_off)
            relay.process.start()
            stored |= await put_some(cut_off)
        load.assert_no_read_failed()
        await cluster.settled({**load.stored, **stored})
        await cluster.empty(wronged)
        assert is_removed(cluster, wronged.id)


async def put_some(content: ContentStore) -> dict[str, StoredFile]:
    """Try to store files, and tell which were acknowledged."""
    puts = (content.put(f"{new_video_id()}/file", os.urandom(100_000)) for _ in range(20))
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert all(isinstance(result, (StoredFile, TritonTubeError)) for result in results)
    return {result.key: result for result in results if isinstance(result, StoredFile)}
