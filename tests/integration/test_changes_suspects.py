"""Members that are away: noted, forgotten, and given up after a while, but never too many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from services.admin.membership.suspects import Suspects
from services.shared.etcd import EtcdClient
from services.shared.ring.progress import SUSPECT_PREFIX, Suspect, suspect_key
from services.shared.ring.requests import ChangeRequest, RequestState
from services.shared.ring.state import ChangeKind, NodeState, live_key
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2_grpc
from tests.harness.admins import (
    Instance,
    channel_to,
    idle_admin,
    report_sync,
    requests_on_record,
    state_when_migrating,
    state_when_stable,
    working_admin,
)
from tests.harness.etcd import EtcdCluster
from tests.harness.ring import live_nodes, node_live, publish, ring_state
from tests.harness.waiting import eventually

DEADLINE_S = 60.0
LONG_AGO = Suspect(since_ms=1)


@pytest.fixture(autouse=True)
async def four_nodes(ring_client: EtcdClient) -> AsyncIterator[None]:
    """A ring of a, b, c and d, two copies, at epoch 1, all of them live."""
    await publish(ring_client, *ring_state(list("abcd")))
    async with live_nodes(ring_client, *"abcd"):
        yield


@asynccontextmanager
async def watchman(
    etcd: EtcdCluster, *, dead_after_s: float = 0.0, lapse_s: float = 10.0
) -> AsyncIterator[tuple[Suspects, Instance]]:
    """One that looks when it is told to."""
    async with idle_admin(etcd, dead_after_s=dead_after_s) as instance:
        admin = instance.admin
        suspects = Suspects(
            admin.etcd,
            admin.topology,
            admin.records,
            admin.requests,
            dead_after_s=dead_after_s,
            lapse_s=lapse_s,
        )
        yield suspects, instance


async def suspected(client: EtcdClient) -> set[str]:
    kvs = (await client.range_snapshot(SUSPECT_PREFIX)).kvs
    return {kv.key.removeprefix(SUSPECT_PREFIX) for kv in kvs}


async def asked(client: EtcdClient) -> list[ChangeRequest]:
    return list((await requests_on_record(client)).values())


async def test_a_member_that_lost_its_lease_is_noted_and_forgotten_when_it_is_back(ring_etcd, ring_client):
    async with watchman(ring_etcd) as (suspects, _):
        await ring_client.delete(live_key("a"))
        await suspects.round()
        assert await suspected(ring_client) == {"a"}
        noted = await ring_client.get(suspect_key("a"))
        await suspects.round()
        assert await ring_client.get(suspect_key("a")) == noted
        await ring_client.put(live_key("a"), node_live("a").encode())
        await suspects.round()
        assert await suspected(ring_client) == set()


async def test_the_status_tells_who_is_away_and_when_it_will_be_given_up(ring_etcd, ring_client):
    async with working_admin(ring_etcd, dead_after_s=900) as admin, channel_to(admin) as channel:
        await ring_client.delete(live_key("b"))
        stub = cluster_pb2_grpc.ClusterServiceStub(channel)

        async def told() -> list[pb.Suspect]:
            return list((await stub.GetStatus(pb.GetStatusRequest())).suspects)

        (suspect,) = await eventually(told, deadline_s=DEADLINE_S, what="b is a suspect")
    assert suspect.node_id == "b"
    assert suspect.dead_at_ms == suspect.since_ms + 900_000


async def test_a_member_that_stays_away_is_declared_dead_and_its_copies_are_made_anew(ring_etcd, ring_client):
    async with working_admin(ring_etcd, dead_after_s=1) as admin:
        await ring_client.delete(live_key("a"))
        moving = await state_when_migrating(admin.topology, epoch=2)
        assert moving.nodes["a"].state is NodeState.DEAD
        await report_sync(ring_client, 2, "bcd")
        state = await state_when_stable(admin.topology, epoch=3)
        assert state.nodes["a"].state is NodeState.REMOVED
        await eventually(lambda: _none(ring_client), deadline_s=DEADLINE_S, what="nobody is suspected")
    (request,) = await asked(ring_client)
    assert (request.spec.kind, request.node, request.state) == (ChangeKind.DEAD, "a", RequestState.DONE)


async def _none(client: EtcdClient) -> bool:
    return not await suspected(client)


async def test_without_a_time_nobody_is_declared_dead(ring_etcd, ring_client):
    async with watchman(ring_etcd, dead_after_s=0) as (suspects, _):
        await ring_client.delete(live_key("a"))
        await ring_client.put(suspect_key("a"), LONG_AGO.encode())
        for _ in range(3):
            await suspects.round()
    assert not await asked(ring_client)


async def test_no_more_are_declared_dead_at_once_than_the_copies_allow(ring_etcd, ring_client):
    async with watchman(ring_etcd, dead_after_s=0.001) as (suspects, instance):
        for node in "abc":
            await ring_client.delete(live_key(node))
            await ring_client.put(suspect_key(node), LONG_AGO.encode())
        await eventually(
            lambda: _rounds_until_asked(suspects, ring_client), deadline_s=DEADLINE_S, what="asked"
        )
        await suspects.round()
        assert len(await asked(ring_client)) == 1
        assert await instance.step()
        for _ in range(3):
            await suspects.round()
    (request,) = await asked(ring_client)
    assert request.state is RequestState.RUNNING


async def _rounds_until_asked(suspects: Suspects, client: EtcdClient, *, times: int = 1) -> bool:
    await suspects.round()
    return len(await asked(client)) == times


async def test_many_instances_ask_once_for_the_same_death(ring_etcd, ring_client):
    async with AsyncExitStack() as stack:
        watchmen = [
            (await stack.enter_async_context(watchman(ring_etcd, dead_after_s=0.001)))[0] for _ in range(4)
        ]
        await ring_client.delete(live_key("a"))
        await ring_client.put(suspect_key("a"), LONG_AGO.encode())
        for _ in range(3):
            await asyncio.gather(*(suspects.round() for suspects in watchmen))
    assert len(await asked(ring_client)) == 1


@pytest.mark.parametrize(
    "timing",
    [
        pytest.param({"dead_after_s": 30, "lapse_s": 10}, id="it has only just come up"),
        pytest.param({"dead_after_s": 0.001, "lapse_s": 0}, id="each round comes after a gap"),
    ],
)
async def test_an_instance_that_was_cut_off_gives_nobody_up(ring_etcd, ring_client, timing):
    """Whoever else was cut off has had no time to come back."""
    async with watchman(ring_etcd, **timing) as (suspects, _):
        await ring_client.delete(live_key("a"))
        await ring_client.put(suspect_key("a"), LONG_AGO.encode())
        for _ in range(3):
            await suspects.round()
        assert not await asked(ring_client)


async def test_a_node_that_is_back_at_the_last_moment_is_spared(ring_etcd, ring_client):
    async with watchman(ring_etcd, dead_after_s=0.001) as (suspects, instance):
        await ring_client.delete(live_key("a"))
        await ring_client.put(suspect_key("a"), LONG_AGO.encode())
        await eventually(
            lambda: _rounds_until_asked(suspects, ring_client), deadline_s=DEADLINE_S, what="asked"
        )
        await ring_client.put(live_key("a"), node_live("a").encode())
        assert await instance.step()
    (request,) = await asked(ring_client)
    assert request.state is RequestState.REFUSED


@pytest.mark.parametrize("is_seen", [True, False], ids=["seen in between", "back between two rounds"])
async def test_a_node_that_was_spared_is_given_up_when_it_stays_away_later(ring_etcd, ring_client, is_seen):
    """At the same epoch: in a quiet cluster there is no other."""
    async with watchman(ring_etcd, dead_after_s=0.001) as (suspects, instance):
        await ring_client.delete(live_key("a"))
        await eventually(
            lambda: _rounds_until_asked(suspects, ring_client), deadline_s=DEADLINE_S, what="asked"
        )
        await ring_client.put(live_key("a"), node_live("a").encode())
        assert await instance.step()
        if is_seen:
            await suspects.round()
        await ring_client.delete(live_key("a"))
        await eventually(
            lambda: _rounds_until_asked(suspects, ring_client, times=2),
            deadline_s=DEADLINE_S,
            what="asked again",
        )
        assert await instance.step()
        state = (await instance.admin.topology.refresh()).state
    assert (state.epoch, state.nodes["a"].state) == (2, NodeState.DEAD)
