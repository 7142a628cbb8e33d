"""Changes from the asking to the end: on real storage nodes, and by web processes that are killed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc

from services.shared.etcd import EtcdClient
from services.shared.ring.placement import object_key, partition_of
from services.shared.ring.requests import ChangeRequest, ChangeSpec, RequestState
from services.shared.ring.state import ChangeKind, NodeState
from services.shared.rpc import CHANNEL_OPTIONS
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2_grpc
from services.shared.topology import Topology
from services.shared.video import new_video_id
from tests.harness.admins import (
    NO_BROKER,
    report_sync,
    requests_on_record,
    state_when_migrating,
    state_when_stable,
    working_admin,
)
from tests.harness.etcd import EtcdCluster
from tests.harness.ring import live_nodes, publish, ring_state
from tests.harness.storage import StorageCluster, StorageNode, storage_cluster
from tests.harness.waiting import eventually
from tests.harness.web import WebProcess

DEADLINE_S = 120.0
FILES = 40


async def done(client: EtcdClient, request_id: str) -> ChangeRequest:
    async def over() -> ChangeRequest | None:
        request = (await requests_on_record(client))[request_id]
        return None if request.is_open else request

    request = await eventually(over, deadline_s=DEADLINE_S, what=f"{request_id} is over")
    assert request.state is RequestState.DONE, request
    return request


async def stored(cluster: StorageCluster) -> list[str]:
    video_id = new_video_id()
    keys = [object_key(video_id, f"file-{number}") for number in range(FILES)]
    async with cluster.content() as content:
        for key in keys:
            await content.put(key, key.encode())
    return keys


async def owners_lacking(cluster: StorageCluster, keys: list[str]) -> list[tuple[str, str]]:
    """Keys, and owners that do not hold them."""
    view = await cluster.topology.refresh()
    held = {node: await cluster.node(node).has(*keys) for node in view.cur.nodes}
    return [(key, node) for key in keys for node in view.owners(partition_of(key)) if key not in held[node]]


async def test_nodes_are_added_and_drained_and_every_file_is_at_its_owners(
    ring_etcd: EtcdCluster, ring_client: EtcdClient, tmp_path: Path
):
    async with storage_cluster(tmp_path, ring_etcd) as cluster, working_admin(ring_etcd) as admin:
        keys = await stored(cluster)
        fourth = StorageNode(data=tmp_path / "s3", etcd=ring_etcd.endpoints)
        cluster.nodes.append(fourth)
        fourth.server.start()
        try:
            await fourth.up()
            await admin.requests.ask(
                ChangeSpec(kind=ChangeKind.ADD, address=fourth.address), request_id="add"
            )
            assert (await done(ring_client, "add")).node == fourth.id
            assert await owners_lacking(cluster, keys) == []
            leaver = cluster.nodes[0]
            # Another spelling of its address: whoever is there says who it is.
            drain = ChangeSpec(kind=ChangeKind.DRAIN, node=f"localhost:{leaver.port}")
            await admin.requests.ask(drain, request_id="drain")
            assert (await done(ring_client, "drain")).node == leaver.id
            assert await owners_lacking(cluster, keys) == []
            state = (await admin.topology.refresh()).state
            assert state.nodes[leaver.id].state is NodeState.REMOVED
            assert leaver.id not in admin.topology.view.cur.nodes
        finally:
            fourth.server.kill()


@asynccontextmanager
async def web_processes(folder: Path, etcd: EtcdCluster, count: int) -> AsyncIterator[list[WebProcess]]:
    """Real ones, without RabbitMQ; each is ready to be asked for changes."""
    webs = [
        WebProcess(folder=folder, etcd=etcd.endpoints, amqp_url=NO_BROKER, name=f"web{number}")
        for number in range(count)
    ]
    async with AsyncExitStack() as stack:
        for web in webs:
            web.server.start()
            stack.callback(_end, web)
        yield webs


def _end(web: WebProcess) -> None:
    if web.server.running:
        web.server.kill()


async def ask(web: WebProcess, change: pb.ChangeSpec, request_id: str) -> None:
    """Ask a web process as soon as it answers."""
    message = pb.RequestChangeRequest(request_id=request_id, change=change)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{web.admin_port}", options=CHANNEL_OPTIONS) as channel:
        stub = cluster_pb2_grpc.ClusterServiceStub(channel)
        await eventually(lambda: stub.RequestChange(message), deadline_s=DEADLINE_S, what="it is taken down")


async def test_web_processes_that_are_killed_leave_the_change_to_the_others(
    ring_etcd: EtcdCluster, ring_client: EtcdClient, tmp_path: Path
):
    await publish(ring_client, *ring_state(list("abc")))
    drain = pb.ChangeSpec(drain=pb.DrainNode(node="c"))
    async with (
        live_nodes(ring_client, *"abc"),
        Topology.follow(ring_client) as topology,
        web_processes(tmp_path, ring_etcd, 2) as (one, two),
    ):
        await ask(one, drain, "drain")
        await state_when_migrating(topology, epoch=2)
        one.server.kill()
        await report_sync(ring_client, 2, "abc")
        state = await state_when_stable(topology, epoch=3)
        await ask(two, drain, "drain")
    assert (state.epoch, state.nodes["c"].state) == (3, NodeState.REMOVED)
    assert (await requests_on_record(ring_client))["drain"].state is RequestState.DONE
