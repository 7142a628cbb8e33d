"""Following a change, and asking about changes, also while etcd is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import grpc
import pytest
import pytest_asyncio

from services.admin.admin import Admin
from services.admin.membership.housekeeping import Housekeeping
from services.shared.etcd import EtcdClient
from services.shared.ring.progress import Progress
from services.shared.ring.requests import ChangeRequest, ChangeSpec, RequestState, request_key
from services.shared.ring.state import (
    PROGRESS_PREFIX,
    SYNC_PREFIX,
    TABLE_PREFIX,
    ChangeKind,
    NodeState,
    live_key,
    progress_key,
    table_key,
)
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2_grpc
from tests.harness.admins import (
    channel_to,
    report_sync,
    requests_on_record,
    state_when_migrating,
    working_admin,
)
from tests.harness.etcd import EtcdCluster
from tests.harness.ring import live_nodes, publish, ring_state
from tests.harness.waiting import eventually

DEADLINE_S = 60.0
DRAIN_D = pb.ChangeSpec(drain=pb.DrainNode(node="d"))
DRAIN_C = pb.ChangeSpec(drain=pb.DrainNode(node="c"))


@pytest_asyncio.fixture
async def admin(ring_etcd: EtcdCluster, ring_client: EtcdClient) -> AsyncIterator[Admin]:
    """At work for a ring of a, b, c and d, all of them live."""
    await publish(ring_client, *ring_state(list("abcd")))
    async with live_nodes(ring_client, *"abcd"), working_admin(ring_etcd) as working:
        yield working


@pytest_asyncio.fixture
async def stub(admin: Admin) -> AsyncIterator[cluster_pb2_grpc.ClusterServiceAsyncStub]:
    async with channel_to(admin) as channel:
        yield cluster_pb2_grpc.ClusterServiceStub(channel)


async def ask(
    stub: cluster_pb2_grpc.ClusterServiceAsyncStub, change: pb.ChangeSpec, request_id: str
) -> pb.ChangeRequest:
    answer = await stub.RequestChange(pb.RequestChangeRequest(request_id=request_id, change=change))
    return answer.request


async def test_a_watch_tells_every_step_to_the_end(ring_client, admin, stub):
    await ask(stub, DRAIN_D, "one")
    steps: list[pb.WatchChangeResponse] = []
    watching = asyncio.create_task(_watch(stub, "one", steps))
    await state_when_migrating(admin.topology, epoch=2)
    progress = Progress(
        epoch=2, partitions=8, partitions_done=3, files_moved=5, bytes_moved=50, bytes_left=70, at_ms=1
    )
    await ring_client.put(progress_key("d"), progress.encode())
    await eventually(lambda: _moved(steps) == 50, deadline_s=DEADLINE_S, what="the progress of d")
    await report_sync(ring_client, 2, "a")
    await eventually(lambda: _synced(steps) == {"a"}, deadline_s=DEADLINE_S, what="the report of a")
    await report_sync(ring_client, 2, "bcd")
    await asyncio.wait_for(watching, DEADLINE_S)
    assert [node.node_id for node in steps[-2].nodes] in ([], list("abcd"))
    states = list(dict.fromkeys(step.request.state for step in steps))
    assert states[-2:] == [pb.REQUEST_STATE_RUNNING, pb.REQUEST_STATE_DONE]
    assert all(one != two for one, two in pairwise(steps))


async def _watch(
    stub: cluster_pb2_grpc.ClusterServiceAsyncStub, request_id: str, steps: list[pb.WatchChangeResponse]
) -> None:
    call = stub.WatchChange(pb.WatchChangeRequest(request_id=request_id))
    async for step in call:
        steps.append(step)  # noqa: PERF401 - the others look at the list while it grows


def _moved(steps: list[pb.WatchChangeResponse]) -> int:
    return sum(node.bytes_moved for node in steps[-1].nodes)


def _synced(steps: list[pb.WatchChangeResponse]) -> set[str]:
    return {node.node_id for node in steps[-1].nodes if node.synced}


async def test_a_watch_without_an_id_follows_the_change_in_progress(admin, stub):
    with pytest.raises(grpc.aio.AioRpcError, match="No change is in progress"):
        await stub.WatchChange(pb.WatchChangeRequest()).read()
    await ask(stub, DRAIN_D, "one")
    await state_when_migrating(admin.topology, epoch=2)
    call = stub.WatchChange(pb.WatchChangeRequest())
    assert (await call.read()).request.request_id == "one"
    call.cancel()


async def test_a_watch_of_nothing_is_told_so(stub):
    with pytest.raises(grpc.aio.AioRpcError, match="There is no request zzz") as caught:
        await stub.WatchChange(pb.WatchChangeRequest(request_id="zzz")).read()
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_watch_of_what_has_ended_tells_the_end(ring_client, stub):
    request = ChangeRequest(
        id="old",
        spec=ChangeSpec(kind=ChangeKind.DRAIN, node="z"),
        state=RequestState.REFUSED,
        reason="No.",
        requested_at_ms=1,
    )
    await ring_client.put(request_key("old"), request.encode())
    steps = [step async for step in stub.WatchChange(pb.WatchChangeRequest(request_id="old"))]
    assert [(step.request.state, step.request.reason) for step in steps] == [
        (pb.REQUEST_STATE_REFUSED, "No.")
    ]


async def test_changes_are_listed_newest_first_and_those_that_wait_are_in_the_status(admin, stub):
    await ask(stub, DRAIN_D, "one")
    await state_when_migrating(admin.topology, epoch=2)
    for name in ("two", "three"):
        await ask(stub, DRAIN_C, name)
    listed = (await stub.ListChanges(pb.ListChangesRequest())).changes
    assert [change.request_id for change in listed] == ["three", "two", "one"]

    async def waiting() -> list[str] | None:
        status = await stub.GetStatus(pb.GetStatusRequest())
        return [request.request_id for request in status.queue] if len(status.queue) == 2 else None

    assert await eventually(waiting, deadline_s=DEADLINE_S, what="two wait") == ["two", "three"]


async def test_the_status_tells_how_far_everybody_is_and_how_many_copies_lack(ring_client, admin, stub):
    await ask(stub, DRAIN_D, "one")
    await state_when_migrating(admin.topology, epoch=2)
    for node in "ab":
        progress = Progress(epoch=2, files_left=4, bytes_left=9, waiting_for="c is full.", at_ms=1)
        await ring_client.put(progress_key(node), progress.encode())
    await ring_client.put(progress_key("c"), Progress(epoch=1, files_left=100, at_ms=1).encode())

    async def told() -> pb.GetStatusResponse | None:
        status = await stub.GetStatus(pb.GetStatusRequest())
        return status if status.under_replicated == 8 else None

    status = await eventually(told, deadline_s=DEADLINE_S, what="eight copies lack")
    assert [(node.node_id, node.bytes_left, node.waiting_for) for node in status.progress] == [
        ("a", 9, "c is full."),
        ("b", 9, "c is full."),
        ("c", 0, ""),
        ("d", 0, ""),
    ]


async def test_while_etcd_is_away_changes_are_unavailable_and_no_more(ring_etcd, ring_client, stub):
    await stub.GetStatus(pb.GetStatusRequest())
    ring_etcd.members[0].kill()
    calls = (
        stub.RequestChange(pb.RequestChangeRequest(request_id="one", change=DRAIN_D), timeout=30),
        stub.PreviewChange(pb.PreviewChangeRequest(change=DRAIN_D), timeout=30),
        stub.ListChanges(pb.ListChangesRequest(), timeout=30),
        stub.WatchChange(pb.WatchChangeRequest(request_id="zzz"), timeout=30).read(),
    )
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, grpc.aio.AioRpcError)
        assert outcome.code() is grpc.StatusCode.UNAVAILABLE
        assert "etcd" in str(outcome.details())
    await ring_etcd.heal()
    assert set(await requests_on_record(ring_client)) <= {"one"}
    assert (await ask(stub, DRAIN_D, "one")).request_id == "one"


async def test_what_is_of_no_use_any_more_is_cleared_away(ring_client):
    state, table = ring_state(list("abc"), epoch=5)
    _, unnamed = ring_state(list("xyz"))
    await publish(ring_client, state, table, unnamed)
    for epoch in (3, 4, 5):
        await report_sync(ring_client, epoch, "ab")
    for number in range(6):
        request = ChangeRequest(
            id=f"r{number}", spec=ChangeSpec(kind=ChangeKind.REBALANCE), requested_at_ms=1
        )
        if number != 1:
            request = request.ended(100 - number, RequestState.DONE)
        await ring_client.put(request_key(request.id), request.encode())
    await Housekeeping(ring_client, kept_requests=3).round()
    left = {
        kv.key
        for prefix in (SYNC_PREFIX, TABLE_PREFIX)
        for kv in (await ring_client.range_snapshot(prefix)).kvs
    }
    assert left == {"ring/sync/5/a", "ring/sync/5/b", table_key(table.id)}
    assert set(await requests_on_record(ring_client)) == {"r0", "r1", "r2", "r3"}


async def test_progress_is_told_of_members_and_of_the_removed_as_long_as_they_run(ring_client):
    state, table = ring_state(list("abc"), epoch=5)
    removed = state.nodes["a"].model_copy(update={"state": NodeState.REMOVED})
    state = state.model_copy(update={"nodes": {**state.nodes, "d": removed, "e": removed}})
    await publish(ring_client, state, table)
    for node in "abcde":
        await ring_client.put(progress_key(node), Progress(epoch=5, at_ms=1).encode())
    await ring_client.put(live_key("d"), b"{}")
    await Housekeeping(ring_client).round()
    left = {kv.key for kv in (await ring_client.range_snapshot(PROGRESS_PREFIX)).kvs}
    assert left == {progress_key(node) for node in "abcd"}


async def test_without_a_ring_there_is_nothing_to_clear_away(ring_client):
    await report_sync(ring_client, 3, "ab")
    await Housekeeping(ring_client).round()
    assert len((await ring_client.range_snapshot(SYNC_PREFIX)).kvs) == 2
