"""The calls of the original TritonTube: by address, and by a client that waits one second."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import grpc
import pytest
import pytest_asyncio
from grpc import StatusCode

from services.admin.admin import Admin
from services.shared.etcd import EtcdClient
from services.shared.ring.progress import Progress
from services.shared.ring.state import NodeState, progress_key
from services.shared.stubs.tritontube import admin_pb2, admin_pb2_grpc
from tests.harness.admins import (
    channel_to,
    report_sync,
    requests_on_record,
    state_when_migrating,
    state_when_stable,
    working_admin,
)
from tests.harness.etcd import EtcdCluster
from tests.harness.ring import live_nodes, publish, ring_state
from tests.harness.storage import StorageNode
from tests.harness.waiting import eventually

DEADLINE_S = 60.0
ONE_SECOND = 1.0
T = TypeVar("T")
Stub: TypeAlias = "admin_pb2_grpc.VideoContentAdminServiceAsyncStub"


@pytest_asyncio.fixture
async def admin(ring_etcd: EtcdCluster, ring_client: EtcdClient) -> AsyncIterator[Admin]:
    """At work for a ring of a, b and c, all of them live."""
    await publish(ring_client, *ring_state(list("abc")))
    async with live_nodes(ring_client, *"abc"), working_admin(ring_etcd) as working:
        yield working


@pytest_asyncio.fixture
async def stub(admin: Admin) -> AsyncIterator[Stub]:
    async with channel_to(admin) as channel:
        yield admin_pb2_grpc.VideoContentAdminServiceStub(channel)


@asynccontextmanager
async def storage_node(etcd: EtcdCluster, admin: Admin, data: Path) -> AsyncIterator[StorageNode]:
    """A node that is live, and no member."""
    node = StorageNode(data=data, etcd=etcd.endpoints)
    node.server.start()
    try:
        await node.up()
        await eventually(lambda: node.id in admin.topology.live, deadline_s=DEADLINE_S, what="it is live")
        yield node
    finally:
        node.server.kill()


async def in_time(call: Callable[[], Awaitable[T]]) -> T:
    """Call again while a machine with other things to do is too slow for a second, as a person would."""
    return await eventually(call, deadline_s=DEADLINE_S, what="an answer within a second")


async def refused_in_time(call: Callable[[], Awaitable[object]], *, busy: StatusCode) -> grpc.aio.AioRpcError:
    """The refusal of a call, which is called again while a busy machine is too slow, as `busy` says."""

    async def refusal() -> grpc.aio.AioRpcError | None:
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            return None if error.code() in {busy, StatusCode.DEADLINE_EXCEEDED} else error
        pytest.fail("it was not refused")

    return await eventually(refusal, deadline_s=DEADLINE_S, what="a refusal within a second")


async def test_an_addition_outlives_the_call_of_a_client_that_waits_one_second(
    ring_etcd: EtcdCluster, ring_client: EtcdClient, admin: Admin, stub: Stub, tmp_path: Path
):
    async with storage_node(ring_etcd, admin, tmp_path / "node") as node:
        request = admin_pb2.AddNodeRequest(node_address=node.address)
        answer = await in_time(lambda: stub.AddNode(request, timeout=ONE_SECOND))
        assert answer.migrated_file_count == 0
        await state_when_migrating(admin.topology, epoch=2)
        # Nobody has reported yet. Asking again, as such a client would, changes nothing.
        await in_time(lambda: stub.AddNode(request, timeout=ONE_SECOND))
        await report_sync(ring_client, 2, ["a", "b", "c", node.id])
        state = await state_when_stable(admin.topology, epoch=3)
        assert state.nodes[node.id].state is NodeState.ACTIVE
        assert len(await requests_on_record(ring_client)) == 1
        with pytest.raises(grpc.aio.AioRpcError, match="is a member already") as caught:
            await stub.AddNode(request)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_a_client_without_a_deadline_waits_for_the_end_and_hears_how_many_files_moved(
    ring_client: EtcdClient, admin: Admin, stub: Stub
):
    call = stub.RemoveNode(admin_pb2.RemoveNodeRequest(node_address="c:9090"))
    await state_when_migrating(admin.topology, epoch=2)
    for node in "abc":
        await ring_client.put(progress_key(node), Progress(epoch=2, files_moved=7, at_ms=1).encode())
    await eventually(lambda: len(admin.records.progress.entries) == 3, deadline_s=DEADLINE_S, what="progress")
    assert not call.done()
    await report_sync(ring_client, 2, "abc")
    assert (await call).migrated_file_count == 21
    assert (await admin.topology.refresh()).state.nodes["c"].state is NodeState.REMOVED


async def test_what_cannot_be_is_told_within_the_second(stub: Stub):
    for name, address, code, sentence in (
        ("Add", "x", StatusCode.INVALID_ARGUMENT, "is not"),
        ("Add", "127.0.0.1:1", StatusCode.NOT_FOUND, "No storage node answers"),
        ("Remove", "z:1", StatusCode.INVALID_ARGUMENT, "The host of z:1 is not known here"),
    ):
        request = getattr(admin_pb2, f"{name}NodeRequest")(node_address=address)
        call = partial(getattr(stub, f"{name}Node"), request, timeout=ONE_SECOND)
        refusal = await refused_in_time(call, busy=StatusCode.UNAVAILABLE)
        assert (refusal.code(), sentence in str(refusal.details())) == (code, True)


async def test_a_node_that_hangs_is_told_before_the_client_gives_up(
    ring_etcd: EtcdCluster, admin: Admin, stub: Stub, tmp_path: Path
):
    async with storage_node(ring_etcd, admin, tmp_path / "node") as node:
        node.server.freeze()
        request = admin_pb2.AddNodeRequest(node_address=node.address)
        refusal = await refused_in_time(
            lambda: stub.AddNode(request, timeout=ONE_SECOND), busy=StatusCode.DEADLINE_EXCEEDED
        )
    assert refusal.code() is StatusCode.UNAVAILABLE
    assert "did not answer in the time" in str(refusal.details())


async def test_while_etcd_is_away_nodes_are_listed_within_the_second(ring_etcd: EtcdCluster, stub: Stub):
    await stub.ListNodes(admin_pb2.ListNodesRequest())
    ring_etcd.members[0].kill()
    answer = await in_time(lambda: stub.ListNodes(admin_pb2.ListNodesRequest(), timeout=ONE_SECOND))
    assert list(answer.nodes) == ["a:9090", "b:9090", "c:9090"]


@pytest.mark.parametrize("call", ["AddNode", "RemoveNode"])
async def test_while_etcd_is_away_a_call_is_unavailable_within_the_second(
    ring_etcd: EtcdCluster, stub: Stub, call: str
):
    ring_etcd.members[0].kill()
    request = getattr(admin_pb2, f"{call}Request")(node_address="c:9090")
    refusal = await refused_in_time(
        partial(getattr(stub, call), request, timeout=ONE_SECOND), busy=StatusCode.DEADLINE_EXCEEDED
    )
    assert refusal.code() is StatusCode.UNAVAILABLE
    assert "etcd, did not answer" in str(refusal.details())
