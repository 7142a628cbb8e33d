"""RabbitMQ and etcd fail, repeat themselves or fall silent: that costs time, and nothing else."""

from __future__ import annotations

import pytest

from tests.harness.cluster import Cluster
from tests.harness.handoff_events import all_taken, events_about, publish
from tests.harness.load import Demand
from tests.harness.operator import operator

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


# ---- scenarios 9 and 10 ----


async def test_events_doubled_and_reversed_lead_to_the_same_final_state(cluster: Cluster) -> None:
    joiner = await cluster.new_node()
    async with cluster.load() as load, operator(cluster.admin) as ops:
        request = await ops.add(joiner)
        epoch = await cluster.moving()
        events = events_about(cluster.view, load.stored)
        await publish(cluster.vhost, [*reversed(events), *events])
        await ops.done(request)
    load.assert_no_read_failed()
    await cluster.settled(load.stored)
    assert cluster.view.epoch == epoch + 1


async def test_stale_events_change_nothing(cluster: Cluster) -> None:
    joiner, leaver = await cluster.new_node(), cluster.nodes[0]
    async with cluster.load() as load, operator(cluster.admin) as ops:
        request = await ops.add(joiner)
        await cluster.moving()
        stale = events_about(cluster.view, load.stored)
        await ops.done(request)
        await ops.done(await ops.drain(leaver))
        epoch = cluster.view.epoch
        await publish(cluster.vhost, stale)
        await all_taken(cluster.vhost)
    await cluster.settled(load.stored)
    await cluster.empty(leaver)
    assert cluster.view.epoch == epoch


# ---- scenario 11 ----


async def test_a_change_completes_with_rabbitmq_down_all_the_while(cluster: Cluster) -> None:
    cluster.vhost.rabbit.kill()
    joiner = await cluster.new_node()
    async with cluster.load() as load, operator(cluster.admin) as ops:
        await ops.done(await ops.add(joiner))
    load.assert_no_read_failed()
    await cluster.settled(load.stored)
    assert not cluster.vhost.rabbit.running


# ---- scenario 12 ----


async def test_with_etcd_down_for_a_minute_reads_go_on_and_writes_say_unavailable(cluster: Cluster) -> None:
    async with cluster.load() as load:
        before = len(load.stored)
        for member in cluster.etcd.members:
            member.kill()
        await load.more_reads(60 * int(Demand().reads_per_s))
        assert load.refused
        await cluster.etcd.heal()
        await load.more_writes(5)
    assert len(load.stored) > before
    load.assert_no_read_failed()
    assert all(why.startswith("UnavailableError") for why in load.refused.values())
    await cluster.settled(load.stored)
