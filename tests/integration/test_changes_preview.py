"""What a change would do, said beforehand, on real storage nodes: it is what then happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from services.shared.etcd import EtcdClient
from services.shared.ring.placement import object_key, partition_of
from services.shared.ring.table import RingTable
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2_grpc
from services.shared.video import new_video_id
from tests.harness.admins import Instance, channel_to, idle_admin, state_when_migrating
from tests.harness.etcd import EtcdCluster
from tests.harness.storage import StorageCluster, StorageNode, storage_cluster
from tests.harness.waiting import eventually

DEADLINE_S = 60.0
FILES = 60
FILE_BYTES = 1000


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Three nodes with files in two copies, a fourth that waits, and an admin that does nothing by itself."""

    cluster: StorageCluster
    fourth: StorageNode
    instance: Instance
    stub: cluster_pb2_grpc.ClusterServiceAsyncStub
    keys: list[str]

    async def preview(self, change: pb.ChangeSpec) -> pb.PreviewChangeResponse:
        return await self.stub.PreviewChange(pb.PreviewChangeRequest(change=change))

    def moved(self, cur: RingTable, table: RingTable) -> dict[str, int]:
        """Files that each node receives, counted one by one."""
        received: dict[str, int] = {}
        for key in self.keys:
            partition = partition_of(key)
            for node in set(table.owners(partition)) - set(cur.owners(partition)):
                received[node] = received.get(node, 0) + 1
        return received


@pytest_asyncio.fixture(scope="module")
async def scene(ring_member: EtcdCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("preview")
    await ring_member.heal()
    async with EtcdClient.connect(ring_member.endpoints) as client:
        await client.delete_prefix("ring/")
    async with (
        storage_cluster(folder, ring_member) as cluster,
        idle_admin(ring_member) as instance,
        channel_to(instance.admin) as channel,
    ):
        keys = await stored(cluster)
        fourth = StorageNode(data=folder / "s9", etcd=ring_member.endpoints)
        fourth.server.start()
        try:
            await fourth.up()
            await registered(instance, fourth)
            stub = cluster_pb2_grpc.ClusterServiceStub(channel)
            yield Scene(cluster=cluster, fourth=fourth, instance=instance, stub=stub, keys=keys)
        finally:
            fourth.server.kill()


async def stored(cluster: StorageCluster) -> list[str]:
    video_id = new_video_id()
    keys = [object_key(video_id, f"file-{number}") for number in range(FILES)]
    async with cluster.content() as content:
        for key in keys:
            await content.put(key, bytes(FILE_BYTES))
    return keys


async def registered(instance: Instance, node: StorageNode) -> None:
    await eventually(
        lambda: node.id in instance.admin.topology.live, deadline_s=DEADLINE_S, what="the fourth node is live"
    )


async def test_a_preview_changes_nothing(scene):
    records = scene.instance.admin.etcd
    before = await records.get("ring/state")
    said = await scene.preview(pb.ChangeSpec(drain=pb.DrainNode(node=scene.cluster.nodes[0].address)))
    assert await records.get("ring/state") == before
    assert not (await records.range_snapshot("ring/requests/")).kvs
    assert [node.partitions_after for node in said.nodes].count(0) == 1


async def test_a_change_that_would_be_refused_has_no_preview(scene):
    member = scene.cluster.nodes[0].address
    with pytest.raises(grpc.aio.AioRpcError, match="is a member already"):
        await scene.preview(pb.ChangeSpec(add=pb.AddNode(address=member)))


async def test_a_preview_of_an_addition_is_what_then_happens(scene):
    change = pb.ChangeSpec(add=pb.AddNode(address=scene.fourth.address))
    said = await scene.preview(change)
    before = (await scene.instance.admin.topology.refresh()).state
    assert not before.migrating

    await scene.stub.RequestChange(pb.RequestChangeRequest(request_id="add", change=change))
    assert await scene.instance.step()
    await state_when_migrating(scene.instance.admin.topology, epoch=before.epoch + 1)
    view = scene.instance.admin.topology.view
    assert view.next is not None
    received = scene.moved(view.cur, view.next)
    assert set(received) == {scene.fourth.id}
    assert (said.files, said.moved_bytes) == (
        received[scene.fourth.id],
        received[scene.fourth.id] * FILE_BYTES,
    )
    assert said.partitions == len(view.cur.changed(view.next))
    by_id = {node.node_id: node for node in said.nodes}
    assert {node: by_id[node].partitions_after for node in view.next.nodes} == dict(view.next.counts)
    assert {node: by_id[node].partitions_before for node in view.cur.nodes} == dict(view.cur.counts)
    assert by_id[scene.fourth.id].share_after == pytest.approx(0.25, abs=0.01)
    assert list(said.warnings) == []
