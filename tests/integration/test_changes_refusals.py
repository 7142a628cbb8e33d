"""Changes that cannot be: refused at once, over the wire, with a sentence that says what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from services.admin.membership.requests import MAX_WAITING
from services.shared.etcd import EtcdClient
from services.shared.ring.state import (
    LIVE_PREFIX,
    PROGRESS_PREFIX,
    SYNC_PREFIX,
    Change,
    ChangeKind,
    NodeLive,
    NodeState,
    Phase,
    RingState,
    live_key,
)
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2_grpc
from tests.harness.admins import channel_to, idle_admin, requests_on_record
from tests.harness.etcd import EtcdCluster, etcd_members
from tests.harness.ring import live_nodes, publish, ring_state
from tests.harness.storage import StorageNode
from tests.harness.waiting import eventually

DEADLINE_S = 60.0


@pytest_asyncio.fixture
async def stub(
    ring_etcd: EtcdCluster, ring_client: EtcdClient
) -> AsyncIterator[cluster_pb2_grpc.ClusterServiceAsyncStub]:
    """An admin of a ring of a and b, which are live, and c, which was removed."""
    state, table = ring_state(["a", "b"])
    gone = ring_state(["c"])[0].nodes["c"].model_copy(update={"state": NodeState.REMOVED})
    await publish(ring_client, state.model_copy(update={"nodes": {**state.nodes, "c": gone}}), table)
    async with (
        live_nodes(ring_client, "a", "b"),
        idle_admin(ring_etcd) as instance,
        channel_to(instance.admin) as channel,
    ):
        await eventually(
            lambda: instance.admin.topology.view.up == {"a", "b"},
            deadline_s=DEADLINE_S,
            what="a and b are up",
        )
        yield cluster_pb2_grpc.ClusterServiceStub(channel)


@asynccontextmanager
async def running(node: StorageNode) -> AsyncIterator[StorageNode]:
    node.server.start()
    try:
        await node.up()
        yield node
    finally:
        node.server.kill()


async def registered(client: EtcdClient, node: StorageNode) -> NodeLive:
    """What the node says of itself in etcd, once it does."""
    kv = await eventually(lambda: client.get(live_key(node.id)), deadline_s=DEADLINE_S, what="live")
    return NodeLive.model_validate_json(kv.value)


async def refused(stub: cluster_pb2_grpc.ClusterServiceAsyncStub, change: pb.ChangeSpec) -> tuple[str, str]:
    """Status code and sentence; of a preview they are the same."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.RequestChange(pb.RequestChangeRequest(change=change))
    with pytest.raises(grpc.aio.AioRpcError) as previewed:
        await stub.PreviewChange(pb.PreviewChangeRequest(change=change))
    assert previewed.value.details() == caught.value.details()
    return caught.value.code().name, caught.value.details() or ""


async def on_record(client: EtcdClient) -> dict[str, int]:
    """Everything about the ring but what nodes say of themselves, with the revisions of the last changes."""
    kvs = (await client.range_snapshot("ring/")).kvs
    said = (LIVE_PREFIX, PROGRESS_PREFIX, SYNC_PREFIX)
    return {kv.key: kv.mod_revision for kv in kvs if not kv.key.startswith(said)}


def add(address: str, weight: float = 0.0) -> pb.ChangeSpec:
    return pb.ChangeSpec(add=pb.AddNode(address=address, weight=weight))


def drain(node: str, *, accept: bool = False) -> pb.ChangeSpec:
    return pb.ChangeSpec(drain=pb.DrainNode(node=node, accept_fewer_copies=accept))


def set_weight(node: str, weight: float) -> pb.ChangeSpec:
    return pb.ChangeSpec(set_weight=pb.SetWeight(node=node, weight=weight))


INVALID, CONFLICT, NOT_FOUND = "INVALID_ARGUMENT", "ALREADY_EXISTS", "NOT_FOUND"


SENSELESS = (
    (pb.ChangeSpec(), INVALID, "Say which change"),
    (add(""), INVALID, "is not an address; write host:port"),
    (add("localhost"), INVALID, "is not an address; write host:port"),
    (add("http://localhost:9090"), INVALID, "is not an address; write host:port"),
    (add("localhost:0"), INVALID, "is not an address; write host:port"),
    (add("localhost:65536"), INVALID, "is not an address; write host:port"),
    (add("x" * 20_000), INVALID, "...' is not an address; write host:port"),
    (add("x" * 20_000 + ":99"), INVALID, "...' is not an address; write host:port"),
    (add("[" + "1" * 20_000 + "]:99"), INVALID, "...' is not an address; write host:port"),
    (drain("x" * 20_000), INVALID, "...' is neither the id nor the address of a storage node"),
    (add("local host:9090"), INVALID, "is not an address; write host:port"),
    (add("no-such-host.invalid:9090"), INVALID, "is not known here: check its name"),
    (add("127.0.0.1:1"), NOT_FOUND, "No storage node answers at 127.0.0.1:1: start it first"),
    (add("localhost:9090", weight=-1), INVALID, "weight is a number above 0"),
    (add("localhost:9090", weight=float("nan")), INVALID, "weight is a number above 0"),
    (add("localhost:9090", weight=float("inf")), INVALID, "weight is a number above 0"),
    (set_weight("a", 0), INVALID, "weight is a number above 0"),
    (set_weight("a", -3), INVALID, "weight is a number above 0"),
    (set_weight("", 1), INVALID, "Say whose weight"),
    (set_weight("z", 1), NOT_FOUND, "There is no storage node z"),
    (drain(""), INVALID, "Say which storage node"),
    (drain("z"), NOT_FOUND, "There is no storage node z: see the status"),
    (drain("127.0.0.1:1"), NOT_FOUND, "There is no storage node 127.0.0.1:1: see the status"),
    (drain("c"), CONFLICT, "c is removed already"),
    (pb.ChangeSpec(remove_dead=pb.RemoveDeadNode(node="c")), CONFLICT, "c is removed already"),
    (drain("a"), CONFLICT, "there would be 1 storage nodes for 2 copies"),
    (pb.ChangeSpec(remove_dead=pb.RemoveDeadNode(node="a")), CONFLICT, "a is up: drain it instead"),
    (pb.ChangeSpec(replace=pb.ReplaceNode(node="a", address="x")), INVALID, "is not an address"),
    (pb.ChangeSpec(abort=pb.Abort()), CONFLICT, "No change is in progress"),
)


async def test_what_makes_no_sense_is_refused_with_a_sentence_and_changes_nothing(ring_client, stub):
    before = await on_record(ring_client)
    for change, expected_code, expected in SENSELESS:
        code, sentence = await refused(stub, change)
        assert (code, expected in sentence) == (expected_code, True), (change, sentence)
    assert await on_record(ring_client) == before


async def test_the_last_node_cannot_be_removed(ring_client, stub):
    await publish(ring_client, *ring_state(["a"], epoch=2))
    before = await on_record(ring_client)
    for change in (drain("a"), drain("a", accept=True)):
        code, sentence = await refused(stub, change)
        assert (code, "a is the last storage node: add another one first" in sentence) == (CONFLICT, True)
    assert await on_record(ring_client) == before


async def test_of_two_members_at_one_address_neither_is_meant(ring_client, stub):
    """As an earlier version let it come about."""
    state, table = ring_state(["a", "b", "d"], epoch=2)
    same = state.nodes["d"].model_copy(update={"address": "b:9090"})
    await publish(ring_client, state.model_copy(update={"nodes": {**state.nodes, "d": same}}), table)
    before = await on_record(ring_client)
    dead = pb.ChangeSpec(remove_dead=pb.RemoveDeadNode(node="b:9090"))
    for change in (drain("b:9090"), dead, set_weight("b:9090", 2)):
        code, sentence = await refused(stub, change)
        assert (code, sentence) == (
            CONFLICT,
            "b and d are known at b:9090: name one of them by its id.",
        )
    assert await on_record(ring_client) == before


async def test_a_stranger_that_is_no_storage_node_is_not_added(ring_etcd, ring_client, stub):
    before = await on_record(ring_client)
    code, sentence = await refused(stub, add(ring_etcd.endpoints[0]))
    assert (code, "No storage node answers" in sentence) == (NOT_FOUND, True)
    assert await on_record(ring_client) == before


async def test_a_member_is_not_added_again_under_any_spelling_of_its_address(
    ring_etcd: EtcdCluster, ring_client: EtcdClient, stub: cluster_pb2_grpc.ClusterServiceAsyncStub, tmp_path
):
    async with running(StorageNode(data=tmp_path / "node", etcd=ring_etcd.endpoints)) as node:
        live = await registered(ring_client, node)
        state, table = ring_state(["a", "b", node.id], epoch=2)
        entry = state.nodes[node.id].model_copy(update={"disk_id": live.disk_id})
        state = state.model_copy(update={"nodes": {**state.nodes, node.id: entry}})
        await publish(ring_client, state, table)
        before = await on_record(ring_client)
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            code, sentence = await refused(stub, add(f"{host}:{node.port}"))
            assert (code, f"{node.id} is a member already" in sentence) == (CONFLICT, True), sentence
        assert await on_record(ring_client) == before


async def test_a_removed_node_is_not_replaced(ring_etcd, ring_client, stub, tmp_path):
    """Not even one that is up still."""
    async with (
        live_nodes(ring_client, "c"),
        running(StorageNode(data=tmp_path / "node", etcd=ring_etcd.endpoints)) as node,
    ):
        await registered(ring_client, node)
        replace = pb.ChangeSpec(replace=pb.ReplaceNode(node="c", address=node.address))
        assert await refused(stub, replace) == (CONFLICT, "c is removed already.")


async def test_what_the_change_in_progress_does_is_not_done_again(ring_etcd, ring_client, stub, tmp_path):
    async with running(StorageNode(data=tmp_path / "node", etcd=ring_etcd.endpoints)) as node:
        live = await registered(ring_client, node)
        state, table = ring_state(["a", "b", "d", node.id], epoch=2)
        leaver = state.nodes["d"].model_copy(update={"state": NodeState.DRAINING})
        joiner = state.nodes[node.id].model_copy(
            update={"state": NodeState.JOINING, "disk_id": live.disk_id, "address": node.address}
        )
        moving = {
            "phase": Phase.MIGRATING,
            "next": table.id,
            "nodes": {**state.nodes, "d": leaver, node.id: joiner},
            "change": Change(id="first", kind=ChangeKind.REPLACE, node="d", request_id="first"),
        }
        await publish(ring_client, state.model_copy(update=moving), table)
        removed = (CONFLICT, "d is being removed already, by request first.")
        assert await refused(stub, drain("d")) == removed
        assert await refused(stub, set_weight("d", 2)) == removed
        added = (CONFLICT, f"{node.id} is being added already, by request first.")
        assert await refused(stub, add(node.address)) == added


async def test_another_clusters_node_is_not_added(ring_etcd, ring_client, stub, tmp_path):
    node = StorageNode(data=tmp_path / "node", etcd=ring_etcd.endpoints)
    async with running(node):
        live = await registered(ring_client, node)
        await join(ring_client, live, ring_state([node.id], epoch=2)[0], cluster_id="another")
        await eventually(
            lambda: _is_bound(node, "another"), deadline_s=DEADLINE_S, what="the disk is the other cluster's"
        )
        await publish(ring_client, *ring_state(["a", "b"], epoch=3))
        before = await on_record(ring_client)
        code, sentence = await refused(stub, add(node.address))
        assert (code, "belongs to another cluster: give it an empty disk first" in sentence) == (
            CONFLICT,
            True,
        )
        assert await on_record(ring_client) == before


async def join(client: EtcdClient, live: NodeLive, state: RingState, *, cluster_id: str) -> None:
    entry = state.nodes[live.id].model_copy(update={"disk_id": live.disk_id})
    table = ring_state([live.id])[1]
    await publish(
        client, state.model_copy(update={"nodes": {live.id: entry}, "cluster_id": cluster_id}), table
    )


async def _is_bound(node: StorageNode, cluster_id: str) -> bool:
    return (await node.describe()).cluster_id == cluster_id


async def test_a_node_that_is_registered_elsewhere_is_not_added(ring_client, stub, tmp_path: Path):
    async with etcd_members(tmp_path / "etcd", count=1) as elsewhere:
        node = StorageNode(data=tmp_path / "node", etcd=elsewhere.endpoints)
        async with running(node):
            before = await on_record(ring_client)
            code, sentence = await refused(stub, add(node.address))
            assert (code, "is up, but not registered in this cluster" in sentence) == (CONFLICT, True)
            assert await on_record(ring_client) == before


async def test_a_node_that_hangs_is_told_in_time(ring_etcd, stub, tmp_path):
    async with running(StorageNode(data=tmp_path / "node", etcd=ring_etcd.endpoints)) as node:
        node.server.freeze()
        code, sentence = await refused(stub, add(node.address))
        node.server.thaw()
    assert (code, "No storage node answers at" in sentence) == (NOT_FOUND, True), sentence


async def test_while_there_is_no_ring_nothing_can_be_changed(ring_etcd, ring_client):
    async with idle_admin(ring_etcd) as instance, channel_to(instance.admin) as channel:
        code, sentence = await refused(cluster_pb2_grpc.ClusterServiceStub(channel), drain("a"))
    assert (code, "has not been formed yet" in sentence) == ("UNAVAILABLE", True)
    assert not await on_record(ring_client)


async def test_too_many_waiting_changes_are_refused(ring_client, stub):
    rebalance = pb.ChangeSpec(rebalance=pb.Rebalance())
    for _ in range(MAX_WAITING):
        await stub.RequestChange(pb.RequestChangeRequest(change=rebalance))
    await eventually(lambda: all_wait(stub), deadline_s=DEADLINE_S, what="the admin has heard of all")
    with pytest.raises(grpc.aio.AioRpcError, match="wait for their turn already: ask again later"):
        await stub.RequestChange(pb.RequestChangeRequest(change=rebalance))
    assert len(await requests_on_record(ring_client)) == MAX_WAITING


async def all_wait(stub: cluster_pb2_grpc.ClusterServiceAsyncStub) -> bool:
    return len((await stub.GetStatus(pb.GetStatusRequest())).queue) == MAX_WAITING
