"""Requests for changes: taken down once, carried out once and one after the other, by whichever instance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.shared.errors import ConflictError, NotFoundError, RequestError
from services.shared.etcd import EtcdClient
from services.shared.ring.progress import Progress
from services.shared.ring.requests import ChangeRequest, ChangeSpec, RequestState
from services.shared.ring.state import (
    LIVE_PREFIX,
    STATE_KEY,
    ChangeKind,
    NodeState,
    live_key,
    progress_key,
)
from tests.harness.admins import (
    Instance,
    idle_admin,
    many_admins,
    report_sync,
    requests_on_record,
    state_when_migrating,
    state_when_stable,
    working_admin,
)
from tests.harness.etcd import EtcdCluster
from tests.harness.ring import live_nodes, publish, ring_state
from tests.harness.waiting import eventually

DEADLINE_S = 60.0
NODES = "abcde"
ABORT = ChangeSpec(kind=ChangeKind.ABORT)


def drain(node: str) -> ChangeSpec:
    return ChangeSpec(kind=ChangeKind.DRAIN, node=node)


def dead(node: str) -> ChangeSpec:
    return ChangeSpec(kind=ChangeKind.DEAD, node=node)


@pytest_asyncio.fixture(autouse=True)
async def five_nodes(ring_client: EtcdClient) -> AsyncIterator[None]:
    """A ring of a, b, c, d and e, two copies, at epoch 1, all of them live."""
    await publish(ring_client, *ring_state(list(NODES)))
    async with live_nodes(ring_client, *NODES):
        yield


async def ended(client: EtcdClient, request_id: str) -> ChangeRequest:
    """The request, once it has ended."""

    async def over() -> ChangeRequest | None:
        request = (await requests_on_record(client))[request_id]
        return None if request.is_open else request

    return await eventually(over, deadline_s=DEADLINE_S, what=f"{request_id} has ended")


# ---- from the asking to the end ----


async def test_a_change_begins_when_it_is_asked_for_and_ends_when_all_have_reported(ring_etcd, ring_client):
    async with working_admin(ring_etcd) as admin:
        asked = await admin.requests.ask(drain("e"), request_id="one")
        assert (asked.state, asked.node) == (RequestState.QUEUED, "e")
        moving = await state_when_migrating(admin.topology, epoch=2)
        assert moving.nodes["e"].state is NodeState.DRAINING
        await report_sync(ring_client, 2, NODES)
        state = await state_when_stable(admin.topology, epoch=3)
    assert state.nodes["e"].state is NodeState.REMOVED
    request = (await requests_on_record(ring_client))["one"]
    assert request.state is RequestState.DONE
    assert 0 < request.requested_at_ms <= request.began_at_ms <= request.ended_at_ms


async def test_the_record_of_a_change_tells_what_was_moved_for_it(ring_etcd, ring_client):
    async with working_admin(ring_etcd) as admin:
        await admin.requests.ask(drain("e"), request_id="one")
        await state_when_migrating(admin.topology, epoch=2)
        for node in "abcd":
            told = Progress(epoch=2, files_moved=7, bytes_moved=700, at_ms=1)
            await ring_client.put(progress_key(node), told.encode())
        earlier = Progress(epoch=1, files_moved=9, bytes_moved=900, at_ms=1)
        await ring_client.put(progress_key("e"), earlier.encode())
        await report_sync(ring_client, 2, NODES)
        request = await ended(ring_client, "one")
    assert (request.state, request.files_moved, request.bytes_moved) == (RequestState.DONE, 28, 2800)


async def test_reports_of_another_epoch_and_of_too_few_end_nothing(ring_etcd, ring_client):
    async with idle_admin(ring_etcd) as instance:
        await instance.admin.requests.ask(drain("e"), request_id="one")
        assert await instance.step()
        await report_sync(ring_client, 1, NODES)
        await report_sync(ring_client, 2, "abcd")
        await eventually(
            lambda: instance.admin.records.synced(2) == set("abcd"),
            deadline_s=DEADLINE_S,
            what="four reports",
        )
        assert not await instance.driver.step()
        await report_sync(ring_client, 2, "e")
        assert await instance.step()


async def test_two_changes_at_once_queue(ring_etcd, ring_client):
    async with many_admins(ring_etcd, 2) as (one, two):
        await asyncio.gather(
            one.requests.ask(drain("d"), request_id="d"), two.requests.ask(drain("e"), request_id="e")
        )
        first = (await state_when_migrating(one.topology, epoch=2)).change
        assert first
        second = ({"d", "e"} - {first.request_id}).pop()
        states = {name: request.state for name, request in (await requests_on_record(ring_client)).items()}
        assert states == {first.request_id: RequestState.RUNNING, second: RequestState.QUEUED}
        await report_sync(ring_client, 2, NODES)
        moving = await state_when_migrating(one.topology, epoch=4)
        assert moving.change
        assert moving.change.request_id == second
        await report_sync(ring_client, 4, set(NODES) - {first.request_id})
        state = await state_when_stable(one.topology, epoch=5)
    assert [node for node, entry in state.nodes.items() if entry.state is NodeState.REMOVED] == ["d", "e"]
    assert {request.state for request in (await requests_on_record(ring_client)).values()} == {
        RequestState.DONE
    }


async def test_requests_take_their_turns_in_the_order_of_asking(ring_etcd):
    async with idle_admin(ring_etcd) as instance:
        for name in ("z", "m", "a"):
            await instance.admin.requests.ask(ChangeSpec(kind=ChangeKind.REBALANCE), request_id=name)
        for name in ("z", "m", "a"):
            await instance.heard_of(name)
        assert [entry.record.id for entry in instance.admin.records.queue] == ["z", "m", "a"]


# ---- the same request again ----


async def test_one_request_asked_twice_of_two_instances_changes_once(ring_etcd, ring_client):
    async with many_admins(ring_etcd, 2) as (one, two):
        asked = await asyncio.gather(
            *(admin.requests.ask(drain("e"), request_id="same") for admin in (one, two, one, two))
        )
        assert {request.id for request in asked} == {"same"}
        await state_when_migrating(one.topology, epoch=2)
        await report_sync(ring_client, 2, NODES)
        await state_when_stable(one.topology, epoch=3)
        again = await two.requests.ask(drain("e"), request_id="same")
    assert again.state is RequestState.DONE
    kv = await ring_client.get(STATE_KEY)
    assert kv is not None
    assert kv.version == 3  # published, begun, ended


async def test_a_request_id_cannot_stand_for_another_change(ring_etcd, ring_client):
    async with idle_admin(ring_etcd) as instance:
        await instance.admin.requests.ask(drain("e"), request_id="same")
        with pytest.raises(ConflictError, match="stands for another change"):
            await instance.admin.requests.ask(drain("d"), request_id="same")
    assert list(await requests_on_record(ring_client)) == ["same"]


@pytest.mark.parametrize("request_id", ["a b", "a/b", "x" * 65, "\u00e9"])
async def test_a_malformed_request_id_is_refused(ring_etcd, ring_client, request_id):
    async with idle_admin(ring_etcd) as instance:
        with pytest.raises(RequestError, match="A request id is"):
            await instance.admin.requests.ask(drain("e"), request_id=request_id)
    assert not await requests_on_record(ring_client)


# ---- refused when its turn comes ----


async def test_what_is_impossible_by_the_time_of_its_turn_is_refused_with_the_reason(ring_etcd, ring_client):
    async with working_admin(ring_etcd) as admin:
        await admin.requests.ask(drain("e"), request_id="one")
        await state_when_migrating(admin.topology, epoch=2)
        for name, node in (("two", "d"), ("three", "c"), ("four", "b")):
            await admin.requests.ask(drain(node), request_id=name)
        for epoch in (2, 4, 6):
            await state_when_migrating(admin.topology, epoch=epoch)
            await report_sync(ring_client, epoch, NODES)
        refused = await ended(ring_client, "four")
        state = (await admin.topology.refresh()).state
    assert refused.state is RequestState.REFUSED
    assert "Without b there would be 1 storage nodes" in refused.reason
    assert (state.epoch, state.migrating) == (7, False)


# ---- abort, and deaths during a change ----


async def test_an_abort_does_not_queue(ring_etcd, ring_client):
    async with working_admin(ring_etcd) as admin:
        await admin.requests.ask(drain("e"), request_id="one")
        await state_when_migrating(admin.topology, epoch=2)
        await admin.requests.ask(drain("d"), request_id="two")
        await admin.requests.ask(ABORT, request_id="three")
        going_back = await state_when_migrating(admin.topology, epoch=3)
        assert going_back.next == going_back.cur
        assert (await ended(ring_client, "one")).state is RequestState.ABORTED
        await report_sync(ring_client, 3, NODES)
        assert (await ended(ring_client, "three")).state is RequestState.DONE
        moving = await state_when_migrating(admin.topology, epoch=5)
        assert moving.change
        assert moving.change.request_id == "two"


async def test_without_a_change_there_is_nothing_to_abort(ring_etcd, ring_client):
    async with idle_admin(ring_etcd) as instance:
        with pytest.raises(ConflictError, match="No change is in progress"):
            await instance.admin.requests.ask(ABORT)
    assert not await requests_on_record(ring_client)


async def test_an_abort_that_comes_too_late_does_not_hit_the_next_change(ring_etcd, ring_client):
    async with idle_admin(ring_etcd) as one, idle_admin(ring_etcd) as slow:
        await one.admin.requests.ask(drain("e"), request_id="one")
        assert await one.step()
        await one.admin.requests.ask(drain("d"), request_id="two")
        abort = await slow.admin.requests.ask(ABORT, request_id="late")
        await ring_client.delete("ring/requests/late")
        await report_sync(ring_client, 2, NODES)
        await state_when_migrating_by_steps(one, epoch=4)
        await ring_client.put("ring/requests/late", abort.encode())
        await slow.heard_of("late")
        await eventually(lambda: slow.admin.topology.view.epoch == 4, deadline_s=DEADLINE_S, what="epoch 4")
        await eventually(lambda: is_refused(slow, "late"), deadline_s=DEADLINE_S, what="it is taken up")
    refused = (await requests_on_record(ring_client))["late"]
    assert refused.state is RequestState.REFUSED
    assert "another one is in progress" in refused.reason


async def is_refused(instance: Instance, request_id: str) -> bool:
    """Take a step; it may be lost to what this instance had heard of the request before."""
    await instance.driver.step()
    request = (await requests_on_record(instance.admin.etcd))[request_id]
    assert request.state in {RequestState.QUEUED, RequestState.REFUSED}, request
    return request.state is RequestState.REFUSED


async def state_when_migrating_by_steps(instance: Instance, *, epoch: int) -> None:
    async def there() -> bool:
        if (await instance.admin.topology.refresh()).epoch >= epoch:
            return True
        await instance.driver.step()
        return False

    await eventually(there, deadline_s=DEADLINE_S, what=f"epoch {epoch}")


async def test_a_death_during_a_change_plans_it_anew_and_both_are_done_together(ring_etcd, ring_client):
    async with working_admin(ring_etcd) as admin:
        await admin.requests.ask(drain("e"), request_id="drain")
        await state_when_migrating(admin.topology, epoch=2)
        await ring_client.delete(live_key("a"))
        await admin.requests.ask(dead("a"), request_id="dead")
        state = await state_when_migrating(admin.topology, epoch=3)
        assert state.nodes["a"].state is NodeState.DEAD
        assert state.change
        assert state.change.request_id == "drain"
        await report_sync(ring_client, 2, NODES)
        await report_sync(ring_client, 3, "bcde")
        assert (await ended(ring_client, "drain")).state is RequestState.DONE
        assert (await ended(ring_client, "dead")).state is RequestState.DONE
        state = await state_when_stable(admin.topology, epoch=4)
    assert [state.nodes[node].state for node in "ae"] == [NodeState.REMOVED] * 2


async def test_an_abort_takes_back_the_change_and_not_a_death_that_came_in_between(ring_etcd, ring_client):
    async with working_admin(ring_etcd) as admin:
        await admin.requests.ask(drain("e"), request_id="drain")
        await state_when_migrating(admin.topology, epoch=2)
        await ring_client.delete(live_key("a"))
        await admin.requests.ask(dead("a"), request_id="dead")
        await state_when_migrating(admin.topology, epoch=3)
        await admin.requests.ask(ABORT, request_id="abort")
        state = await state_when_migrating(admin.topology, epoch=4)
        assert [state.nodes[node].state for node in "ae"] == [NodeState.DEAD, NodeState.ACTIVE]
        await report_sync(ring_client, 4, "bcde")
        await state_when_stable(admin.topology, epoch=5)
    states = {name: request.state for name, request in (await requests_on_record(ring_client)).items()}
    assert states == {
        "drain": RequestState.ABORTED,
        "dead": RequestState.DONE,
        "abort": RequestState.DONE,
    }


async def test_a_node_that_is_up_is_not_given_up(ring_etcd, ring_client):
    async with idle_admin(ring_etcd) as instance:
        with pytest.raises(ConflictError, match="a is up: drain it instead"):
            await instance.admin.requests.ask(dead("a"))
    assert not await requests_on_record(ring_client)


async def test_a_node_that_comes_back_in_time_is_not_given_up(ring_etcd, ring_client):
    lived = await ring_client.get(f"{LIVE_PREFIX}a")
    assert lived
    async with idle_admin(ring_etcd) as instance:
        await ring_client.delete(live_key("a"))
        await instance.admin.requests.ask(dead("a"), request_id="dead")
        await ring_client.put(live_key("a"), lived.value)
        assert await instance.step()
    assert (await requests_on_record(ring_client))["dead"].state is RequestState.REFUSED


# ---- who carries it out ----


async def test_many_instances_take_each_step_once(ring_etcd, ring_client):
    async with many_admins(ring_etcd, 5) as admins:
        for admin, node in zip(admins, "de", strict=False):
            await admin.requests.ask(drain(node), request_id=node)
        for epoch in (2, 4):
            await state_when_migrating(admins[0].topology, epoch=epoch)
            await report_sync(ring_client, epoch, NODES)
        state = await state_when_stable(admins[0].topology, epoch=5)
    kv = await ring_client.get(STATE_KEY)
    assert kv is not None
    assert (state.epoch, kv.version) == (5, 5)


async def test_an_instance_that_dies_leaves_each_step_to_the_others(ring_etcd, ring_client):
    """One instance per step; each is gone, without a word, before the next one comes."""
    async with idle_admin(ring_etcd) as first:
        await first.admin.requests.ask(drain("e"), request_id="one")
    async with idle_admin(ring_etcd) as second:
        assert await second.step()
    await report_sync(ring_client, 2, NODES)
    async with idle_admin(ring_etcd) as third:
        assert await third.step()
        state = await state_when_stable(third.admin.topology, epoch=3)
    assert state.nodes["e"].state is NodeState.REMOVED
    assert (await requests_on_record(ring_client))["one"].state is RequestState.DONE


async def test_steps_taken_at_the_same_moment_succeed_once(ring_etcd, ring_client):
    async with idle_admin(ring_etcd) as one, idle_admin(ring_etcd) as two:
        await one.admin.requests.ask(drain("e"), request_id="one")
        for instance in (one, two):
            await instance.heard_of("one")
        assert all(await asyncio.gather(one.driver.step(), two.driver.step()))
        await report_sync(ring_client, 2, NODES)
        for instance in (one, two):
            await all_reported(instance)
        assert all(await asyncio.gather(one.driver.step(), two.driver.step()))
    kv = await ring_client.get(STATE_KEY)
    assert kv is not None
    assert kv.version == 3


async def all_reported(instance: Instance) -> None:
    admin = instance.admin
    await eventually(
        lambda: admin.topology.view.epoch == 2 and admin.records.synced(2) == set(NODES),
        deadline_s=DEADLINE_S,
        what="all reports",
    )


@pytest.mark.parametrize("after_ms", [0, 2, 5, 10, 20, 40, 80])
async def test_an_instance_cancelled_at_any_moment_leaves_nothing_half_done(
    ring_etcd: EtcdCluster, ring_client: EtcdClient, after_ms: int
):
    async with idle_admin(ring_etcd) as doomed, idle_admin(ring_etcd) as heir:
        await doomed.admin.requests.ask(drain("e"), request_id="one")
        for instance in (doomed, heir):
            await instance.heard_of("one")
        task = asyncio.create_task(doomed.driver.step())
        await asyncio.wait([task], timeout=after_ms / 1000)
        task.cancel()
        await asyncio.wait([task])
        await state_when_migrating_by_steps(heir, epoch=2)
        await report_sync(ring_client, 2, NODES)
        await heir.step()
        state = await state_when_stable(heir.admin.topology, epoch=3)
    assert state.epoch == 3
    assert (await requests_on_record(ring_client))["one"].state is RequestState.DONE


async def test_a_node_that_does_not_exist_is_told(ring_etcd):
    async with idle_admin(ring_etcd) as instance:
        with pytest.raises(NotFoundError, match="no storage node z"):
            await instance.admin.requests.ask(drain("z"))
