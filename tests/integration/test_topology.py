"""A process's view of the ring, kept from a real etcd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.shared.errors import UnavailableError
from services.shared.etcd import EtcdClient
from services.shared.ring.builder import build
from services.shared.ring.state import STATE_KEY, Phase, live_key, table_key
from services.shared.ring.view import RingView
from services.shared.topology import Topology
from tests.harness.ring import live_nodes, node_live, publish, ring_state
from tests.harness.waiting import eventually

DEADLINE_S = 60.0
NAMES = ("a", "b", "c")


@pytest_asyncio.fixture
async def topology(ring_client: EtcdClient) -> AsyncIterator[Topology]:
    async with Topology.follow(ring_client) as followed:
        yield followed


async def test_before_the_ring_is_formed_it_says_so(topology):
    with pytest.raises(UnavailableError, match="not been formed"):
        await topology.refresh()
    await eventually(lambda: topology.heard, deadline_s=DEADLINE_S, what="first listing")
    with pytest.raises(UnavailableError, match="not been formed"):
        await topology.ready(deadline_s=0.1)


async def test_a_ring_that_exists_is_there_once_ready(ring_client):
    state, table = ring_state(NAMES)
    await publish(ring_client, state, table)
    async with live_nodes(ring_client, "a", "b"), Topology.follow(ring_client) as topology:
        view = await topology.ready(DEADLINE_S)
        assert view.state == state
        assert view.cur == table
        assert view.up == {"a", "b"}
        assert topology.view is view


async def test_a_ring_formed_later_wakes_who_waits(ring_client, topology):
    waiting = asyncio.create_task(topology.ready(DEADLINE_S))
    state, table = ring_state(NAMES)
    await publish(ring_client, state, table)
    assert (await waiting).state == state


async def test_a_new_epoch_arrives_with_its_tables(ring_client, topology):
    first, table = ring_state(NAMES)
    await publish(ring_client, first, table)
    grown = build(ring_state((*NAMES, "d"))[0].placeable(), 2, table)
    second = first.model_copy(update={"epoch": 2, "phase": Phase.MIGRATING, "next": grown.id})
    await publish(ring_client, second, grown)
    view = await asyncio.wait_for(topology.wait_for_epoch(2), DEADLINE_S)
    assert (view.cur, view.next) == (table, grown)


async def test_nodes_come_and_go_with_their_leases(ring_client, topology):
    state, table = ring_state(NAMES)
    await publish(ring_client, state, table)
    await topology.ready(DEADLINE_S)
    async with live_nodes(ring_client, "b"):
        await eventually(lambda: topology.view.up == {"b"}, deadline_s=DEADLINE_S, what="b is up")
    await eventually(lambda: not topology.view.up, deadline_s=DEADLINE_S, what="b is gone")


async def test_live_nodes_are_known_before_there_is_a_ring(ring_client, topology):
    async with live_nodes(ring_client, "a"):
        await eventually(
            lambda: topology.live == {"a": node_live("a")}, deadline_s=DEADLINE_S, what="a is live"
        )


async def test_listeners_hear_each_change_until_they_stop(ring_client, topology):
    heard: list[RingView] = []
    stop = topology.on_change(heard.append)
    state, table = ring_state(NAMES)
    await publish(ring_client, state, table)
    await topology.ready(DEADLINE_S)
    assert heard[-1].state == state
    stop()
    count = len(heard)
    await ring_client.put(STATE_KEY, state.model_copy(update={"epoch": 2}).encode())
    await topology.wait_for_epoch(2)
    assert len(heard) == count


async def test_refresh_returns_what_is_true_now_and_not_what_was_heard(ring_client, topology):
    state, table = ring_state(NAMES)
    await publish(ring_client, state, table)
    await topology.ready(DEADLINE_S)
    for epoch in range(2, 20):
        await ring_client.put(STATE_KEY, state.model_copy(update={"epoch": epoch}).encode())
        assert (await topology.refresh()).epoch == epoch


async def test_the_epoch_never_goes_back(ring_client, topology):
    state, table = ring_state(NAMES, epoch=5)
    await publish(ring_client, state, table)
    await topology.ready(DEADLINE_S)
    await ring_client.put(STATE_KEY, state.model_copy(update={"epoch": 4}).encode())
    assert (await topology.refresh()).epoch == 5


async def test_the_last_view_serves_while_etcd_is_away_and_news_arrive_after(ring_etcd):
    async with (
        EtcdClient.connect(ring_etcd.endpoints, deadline_s=1.0) as client,
        Topology.follow(client) as topology,
    ):
        state, table = ring_state(NAMES)
        await publish(client, state, table)
        await topology.ready(DEADLINE_S)
        ring_etcd.members[0].kill()
        with pytest.raises(UnavailableError):
            await topology.refresh()
        assert topology.view.state == state
        await ring_etcd.heal()
        await publish(client, state.model_copy(update={"epoch": 2}))
        await asyncio.wait_for(topology.wait_for_epoch(2), DEADLINE_S)


async def test_started_while_etcd_is_down_it_catches_up(ring_etcd):
    member = ring_etcd.members[0]
    async with EtcdClient.connect(ring_etcd.endpoints, deadline_s=1.0) as client:
        state, table = ring_state(NAMES)
        await publish(client, state, table)
        member.kill()
        async with Topology.follow(client) as topology:
            with pytest.raises(UnavailableError, match="etcd has not said"):
                await topology.ready(deadline_s=2.0)
            await ring_etcd.heal()
            assert (await topology.ready(DEADLINE_S)).state == state


async def test_unreadable_records_do_not_stop_it(ring_client, topology):
    state, table = ring_state(NAMES)
    await publish(ring_client, state, table)
    await topology.ready(DEADLINE_S)
    await ring_client.put(live_key("x"), b"nonsense")
    await ring_client.put(STATE_KEY, b"nonsense")
    with pytest.raises(UnavailableError, match="cannot be read"):
        await topology.refresh()
    assert topology.view.state == state
    await publish(ring_client, state.model_copy(update={"epoch": 2}))
    await asyncio.wait_for(topology.wait_for_epoch(2), DEADLINE_S)


async def test_a_state_whose_table_is_missing_or_broken_is_not_taken_up(ring_client, topology):
    state, table = ring_state(NAMES)
    await publish(ring_client, state)
    with pytest.raises(UnavailableError, match="missing"):
        await topology.refresh()
    await ring_client.put(table_key(table.id), b"nonsense")
    with pytest.raises(UnavailableError, match="cannot be read"):
        await topology.refresh()
    await publish(ring_client, state, table)
    assert (await topology.refresh()).cur == table
