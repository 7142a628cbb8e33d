"""Events to the storage nodes: hints through RabbitMQ, which nothing depends on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest_asyncio

from services.admin.admin import Admin
from services.admin.membership import changes
from services.admin.membership.courier import Courier, handoff_events
from services.admin.membership.queues import Queues
from services.shared.broker import Broker
from services.shared.etcd import EtcdClient
from services.shared.lifecycle import background
from services.shared.messages import handoff_queue
from services.shared.ring.requests import ChangeSpec
from services.shared.ring.state import ChangeKind, NodeState
from tests.harness.admins import (
    idle_admin,
    report_sync,
    state_when_migrating,
    state_when_stable,
    working_admin,
)
from tests.harness.etcd import EtcdCluster
from tests.harness.rabbitmq import VirtualHost
from tests.harness.ring import live_nodes, node_entry, publish, ring_state
from tests.harness.waiting import eventually

DEADLINE_S = 120.0
DRAIN = ChangeSpec(kind=ChangeKind.DRAIN, node="d")


@pytest_asyncio.fixture(autouse=True)
async def four_nodes(ring_client: EtcdClient) -> AsyncIterator[None]:
    """A ring of a, b, c and little d, two copies, at epoch 1, all of them live."""
    await publish(ring_client, *ring_state(list("abcd"), weights={"d": 0.1}))
    async with live_nodes(ring_client, *"abcd"):
        yield


async def _ignored(_: object) -> None:
    """Take a message and do nothing."""


async def waiting(vhost: VirtualHost, node: str) -> int:
    """How many events wait for a node."""
    rows = await vhost.queues()
    return int(rows.get(handoff_queue(node), {}).get("messages", 0))


@asynccontextmanager
async def courier(admin: Admin, amqp_url: str, *, quiet_s: float) -> AsyncIterator[Courier]:
    async with Broker.connect(amqp_url, app_id="web", instance="courier", connect_timeout_s=60) as broker:
        running = Courier(broker, admin.topology, admin.records, quiet_s=quiet_s)
        async with background(running.run()):
            yield running


async def test_each_source_gets_one_event_per_partition(ring_etcd, amqp_url, vhost):
    async with working_admin(ring_etcd, amqp_url=amqp_url) as admin:
        await admin.requests.ask(DRAIN, request_id="one")
        await state_when_migrating(admin.topology, epoch=2)
        view = admin.topology.view
        assert view.next
        expected = list(handoff_events(view, "abcd"))
        assert len(expected) == len({(event.node, event.partition) for event in expected})
        assert len(expected) == 2 * len(changes.moves(view.cur, view.next))
        mine = [event for event in expected if event.node == "d"]

        async def all_there() -> bool:
            return await waiting(vhost, "d") >= len(mine)

        await eventually(all_there, deadline_s=DEADLINE_S, what=f"{len(mine)} events for d")
        # Where that takes half a minute, d is told again, as it shows no progress.
        rows = await vhost.messages(handoff_queue("d"), count=10 * len(mine))
    assert {row["payload"] for row in rows} == {event.encode().decode() for event in mine}
    row = rows[0]
    assert row["properties"]["type"] == "storage.handoff"
    assert row["properties"]["correlation_id"] == "one"
    assert json.loads(row["payload"])["reason"] == "drain"
    assert row["properties"]["headers"]["x-video-title"].startswith("drain: partition ")


async def test_a_source_that_shows_no_progress_is_told_again_by_any_instance(
    ring_etcd: EtcdCluster, ring_client: EtcdClient, amqp_url: str, vhost: VirtualHost
):
    """Whoever began the change is gone before it told anybody."""
    async with idle_admin(ring_etcd) as instance:
        await instance.admin.requests.ask(DRAIN, request_id="one")
        assert await instance.step()
        await state_when_migrating(instance.admin.topology, epoch=2)
        await report_sync(ring_client, 2, "abc")
        await eventually(
            lambda: instance.admin.records.synced(2) == set("abc"), deadline_s=DEADLINE_S, what="reports"
        )
        async with courier(instance.admin, amqp_url, quiet_s=0.5):
            once = len(list(handoff_events(instance.admin.topology.view, "d")))

            async def told_twice() -> bool:
                return await waiting(vhost, "d") > once

            await eventually(told_twice, deadline_s=DEADLINE_S, what="d is told again")
        assert await waiting(vhost, "a") == 0


async def test_the_queues_of_a_node_that_is_gone_are_deleted_once_nobody_reads_them(
    ring_etcd: EtcdCluster, ring_client: EtcdClient, amqp_url: str, vhost: VirtualHost
):
    state, table = ring_state(list("abcd"), epoch=2)
    removed = {"e": node_entry("e").model_copy(update={"state": NodeState.REMOVED})}
    await publish(ring_client, state.model_copy(update={"nodes": {**state.nodes, **removed}}), table)

    async def left(expected: set[str]) -> bool:
        return {name for name in await vhost.queues() if name.endswith(".e") or ".e." in name} == expected

    async with (
        idle_admin(ring_etcd) as instance,
        Broker.connect(amqp_url, app_id="storage", instance="e", connect_timeout_s=60) as broker,
    ):
        await broker.publisher.ready(*map(handoff_queue, "ae"))
        family = {queue.name for queue in broker.topology.family(handoff_queue("e"))}
        await eventually(lambda: left(family), deadline_s=DEADLINE_S, what="the queues of e are listed")
        async with broker.consuming.channel() as channel:
            await (await channel.get_queue(handoff_queue("e"))).consume(_ignored)
            await eventually(
                lambda: vhost.consumer_tags(handoff_queue("e")), deadline_s=DEADLINE_S, what="one is read"
            )
            assert not await broker.retire(handoff_queue("e"))
        async with background(Queues(broker, instance.admin.topology, interval_s=0.2).run()):
            await eventually(lambda: left(set()), deadline_s=DEADLINE_S, what="the queues of e are gone")
        assert handoff_queue("a") in await vhost.queues()


async def test_a_change_completes_without_rabbitmq(ring_etcd, ring_client):
    async with working_admin(ring_etcd) as admin:
        await admin.requests.ask(DRAIN, request_id="one")
        await state_when_migrating(admin.topology, epoch=2)
        await report_sync(ring_client, 2, "abcd")
        await state_when_stable(admin.topology, epoch=3)
