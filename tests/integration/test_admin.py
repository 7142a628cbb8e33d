"""The admin server over real gRPC, on a real etcd."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.admin.admin import Admin
from services.admin.cli.client import AdminClient
from services.admin.membership.coordinator import Coordinator
from services.admin.server import ADMIN_SERVICE, CLUSTER_SERVICE, admin_server
from services.shared.errors import ConflictError, UnavailableError
from services.shared.etcd import EtcdClient
from services.shared.ring.state import NodeState
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2
from services.shared.topology import Topology
from tests.harness.etcd import EtcdCluster
from tests.harness.ports import free_port
from tests.harness.ring import live_nodes, publish, ring_state
from tests.harness.waiting import eventually

DEADLINE_S = 60.0


@pytest_asyncio.fixture
async def topology(ring_client: EtcdClient) -> AsyncIterator[Topology]:
    async with Topology.follow(ring_client) as followed:
        await eventually(lambda: followed.heard, deadline_s=DEADLINE_S, what="first listing")
        yield followed


@pytest_asyncio.fixture
async def admin(ring_client: EtcdClient, topology: Topology) -> AsyncIterator[Admin]:
    async with Admin.follow(ring_client, topology) as opened:
        yield opened


@pytest_asyncio.fixture
async def server(admin: Admin) -> AsyncIterator[str]:
    async with admin_server("127.0.0.1:0", admin) as running:
        yield running.address


@pytest_asyncio.fixture
async def channel(server: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server) as opened:
        yield opened


# ---- the original calls ----


async def test_members_are_listed_at_the_addresses_where_they_are_now(ring_client, server):
    state, table = ring_state(["a", "b", "c", "d"])
    gone = {"c": NodeState.REMOVED, "d": NodeState.DEAD}
    nodes = {
        name: entry.model_copy(update={"address": f"old-{name}:1", "state": gone.get(name, NodeState.ACTIVE)})
        for name, entry in state.nodes.items()
    }
    async with live_nodes(ring_client, "a"):
        await publish(ring_client, state.model_copy(update={"nodes": nodes}), table)
        async with AdminClient.to(server) as client:
            wanted = ["a:9090", "old-b:1"]
            await eventually(lambda: _lists(client, wanted), deadline_s=DEADLINE_S, what="the live address")


async def _lists(client: AdminClient, wanted: list[str]) -> bool:
    return await client.nodes() == wanted


async def test_a_ring_that_is_not_formed_yet_is_told_as_unavailable(server):
    async with AdminClient.to(server) as client:
        with pytest.raises(UnavailableError, match="not been formed"):
            await client.nodes()


async def test_members_are_listed_while_etcd_is_away(ring_etcd):
    async with (
        EtcdClient.connect(ring_etcd.endpoints, deadline_s=1.0) as etcd,
        Topology.follow(etcd) as topology,
        Admin.follow(etcd, topology) as admin,
        admin_server("127.0.0.1:0", admin) as running,
        AdminClient.to(running.address) as client,
    ):
        await publish(etcd, *ring_state(["a", "b"]))
        await topology.ready(DEADLINE_S)
        ring_etcd.members[0].kill()
        assert await client.nodes() == ["a:9090", "b:9090"]


# ---- status ----


async def test_the_status_tells_that_etcd_is_away_and_since_when(ring_etcd):
    async with (
        EtcdClient.connect(ring_etcd.endpoints, deadline_s=1.0) as etcd,
        Topology.follow(etcd) as topology,
        Admin.follow(etcd, topology) as admin,
        admin_server("127.0.0.1:0", admin) as running,
        AdminClient.to(running.address) as client,
    ):
        await publish(etcd, *ring_state(["a", "b"]))
        await topology.ready(DEADLINE_S)
        assert (await client.status()).as_of_ms == 0
        ring_etcd.members[0].kill()
        status = await client.status()
        assert (status.epoch, status.as_of_ms) == (1, topology.heard_at_ms)
        assert 0 < status.as_of_ms <= time.time() * 1000


async def test_the_status_tells_of_a_member_that_cannot_be_reached(ring_client, server):
    state, table = ring_state(["a"])
    nodes = {"a": state.nodes["a"].model_copy(update={"address": "127.0.0.1:1"})}
    await publish(ring_client, state.model_copy(update={"nodes": nodes}), table)
    async with AdminClient.to(server) as client:
        status = await client.status()
    (node,) = status.nodes
    assert (node.live, node.problem) == (False, "127.0.0.1:1 cannot be reached.")


@asynccontextmanager
async def storage_node(etcd: EtcdCluster, data: Path) -> AsyncIterator[str]:
    """A real storage node; yields its address."""
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.storage", "--listen", address, "--data", str(data)),
        env={**os.environ, "TRITONTUBE_ETCD_ENDPOINTS": ",".join(etcd.endpoints)},
    )
    try:
        yield address
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), DEADLINE_S)


async def test_the_status_of_real_nodes_has_what_they_hold(
    ring_etcd, ring_client, server, topology, tmp_path
):
    async with (
        storage_node(ring_etcd, tmp_path / "one") as one,
        storage_node(ring_etcd, tmp_path / "two") as two,
        AdminClient.to(server) as client,
    ):
        coordinator = Coordinator(ring_client, topology, replicas=2, bootstrap_nodes=2)
        await asyncio.wait_for(coordinator.form(), DEADLINE_S)
        nodes = await eventually(lambda: _answered(client, 2), deadline_s=DEADLINE_S, what="both answer")
    assert {node.address for node in nodes} == {one, two}
    assert all(node.live and node.share == 0.5 and node.usage.capacity_bytes for node in nodes)


async def _answered(client: AdminClient, count: int) -> list[cluster_pb2.NodeStatus]:
    nodes = [node for node in (await client.status()).nodes if node.HasField("usage") and node.live]
    return nodes if len(nodes) == count else []


async def test_the_status_tells_of_nodes_that_wait_for_the_ring(ring_client, server, topology):
    async with live_nodes(ring_client, "a", "b"), AdminClient.to(server) as client:
        await eventually(lambda: len(topology.live) == 2, deadline_s=DEADLINE_S, what="two live nodes")
        status = await client.status()
    assert (status.epoch, status.phase) == (0, cluster_pb2.PHASE_UNSPECIFIED)
    assert [candidate.address for candidate in status.candidates] == ["a:9090", "b:9090"]


# ---- the server ----


async def test_health_is_told_for_the_server_and_each_service(channel):
    stub: Any = health_pb2_grpc.HealthStub(channel)
    for service in ("", ADMIN_SERVICE, CLUSTER_SERVICE):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_follows_what_the_server_reports(admin):
    async with admin_server("127.0.0.1:0", admin) as running:
        await running.report(healthy=False)
        async with grpc.aio.insecure_channel(running.address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_the_services_are_named_by_reflection_as_the_original_named_its_own(channel):
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    names = {service.name for service in (await call.read()).list_services_response.service}
    call.cancel()
    assert {"tritontube.VideoContentAdminService", "tritontube.cluster.v1.ClusterService"} <= names


async def test_an_address_in_use_is_told_in_a_sentence(server, admin):
    with pytest.raises(ConflictError, match=f"Cannot listen on {server}"):
        async with admin_server(server, admin):
            pass
