"""Handoff events over a real RabbitMQ: they hurry, and they change nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import pytest_asyncio

from services.shared.broker import Broker, Envelope
from services.shared.messages import HandoffEvent, HandoffReason, MessageType, handoff_queue
from services.shared.ring.placement import partition_of
from services.storage.handoff.duties import destinations
from tests.harness.etcd import EtcdCluster
from tests.harness.moving import KIB, MovingRing, moving_ring
from tests.harness.rabbitmq import VirtualHost
from tests.harness.storage import StorageNode
from tests.harness.waiting import eventually


@pytest_asyncio.fixture
async def ring(tmp_path: Path, ring_etcd: EtcdCluster, amqp_url: str) -> AsyncIterator[MovingRing]:
    """Three nodes that listen to events, two copies, handed over slowly."""
    options = ("--amqp-url", amqp_url, "--handoff-bytes-per-s", str(512 * KIB), "--handoff-streams", "1")
    async with moving_ring(tmp_path, ring_etcd, options=options) as ring:
        yield ring


def event(ring: MovingRing, node: StorageNode, partition: int, *, epoch: int | None = None) -> HandoffEvent:
    view = ring.cluster.topology.view
    return HandoffEvent(
        change_id="change-1",
        epoch=view.epoch if epoch is None else epoch,
        partition=partition,
        node=node.id,
        destinations=destinations(view, node.id, partition),
        reason=HandoffReason.JOIN,
    )


async def publish(url: str, events: Iterable[HandoffEvent]) -> None:
    async with Broker.connect(url, app_id="test", instance="test") as broker:
        for number, each in enumerate(events):
            envelope = Envelope(type=MessageType.HANDOFF, body=each.encode(), message_id=f"event-{number}")
            await broker.publish_job(handoff_queue(each.node), envelope)


async def all_taken(vhost: VirtualHost, nodes: Sequence[StorageNode]) -> None:
    """Wait until nothing waits in the nodes' queues or their retry queues, and nothing died."""

    async def empty() -> bool:
        queues = await vhost.queues()
        assert {handoff_queue(node.id) for node in nodes} <= queues.keys()
        left = {name: row.get("messages", 0) for name, row in queues.items() if row.get("messages", 0)}
        assert not left, left
        return True

    await eventually(empty, deadline_s=90, what="all events are taken")


async def test_events_doubled_reversed_and_out_of_date_change_nothing_and_are_all_taken(ring, vhost):
    files = await ring.fill(count=24)
    partitions = sorted({partition_of(key) for key in files})
    stale = [event(ring, node, partition) for node in ring.nodes for partition in partitions]
    joiner = await ring.candidate()
    await ring.changes.add(joiner)
    events = [event(ring, node, partition) for node in ring.nodes for partition in partitions]
    await publish(vhost.url, [*stale, *reversed(events), *events, *stale])
    await ring.changes.commit()
    await ring.settled(files)
    await all_taken(vhost, ring.nodes)
    await ring.assert_readable(files)


async def test_an_event_is_held_until_the_partition_is_confirmed(ring, vhost):
    files = await ring.fill(count=12)
    partition = partition_of(next(iter(files)))
    owner, away = ring.cluster.owners(next(iter(files)))[:2]
    away.server.kill()
    epoch = await ring.cluster.next_epoch()
    await publish(vhost.url, [event(ring, owner, partition, epoch=epoch)])
    await eventually(
        lambda: vhost.unsettled(handoff_queue(owner.id)), deadline_s=60, what="the event is with the node"
    )
    away.server.start()
    await all_taken(vhost, ring.nodes)


async def test_events_hurry_their_partitions(tmp_path, ring_etcd, vhost):
    options = ("--amqp-url", vhost.url, "--handoff-bytes-per-s", str(64 * KIB), "--handoff-streams", "1")
    async with moving_ring(tmp_path, ring_etcd, options=options) as ring:
        files = await ring.fill(count=48, size_bytes=96 * KIB)
        joiner = await ring.candidate()
        await ring.changes.add(joiner)
        view = ring.cluster.topology.view
        moving = [key for key in files if joiner.id in view.next_owners(partition_of(key))]
        hurried = {partition_of(key) for key in moving[-3:]}
        await publish(
            vhost.url, [event(ring, node, partition) for node in ring.nodes[:3] for partition in hurried]
        )
        await ring.changes.all_synced()
        came = sorted(moving, key=lambda key: joiner.object_path(key).stat().st_mtime_ns)
        places = [place for place, key in enumerate(came) if partition_of(key) in hurried]
        assert max(places) < len(moving) * 2 / 3, (places, len(moving))


async def test_a_change_completes_while_rabbitmq_is_down_and_nodes_listen_again_afterwards(
    ring, vhost, rabbitmq
):
    files = await ring.fill(count=12)
    rabbitmq.kill()
    joiner = await ring.candidate()
    await ring.changes.add(joiner)
    await ring.changes.commit()
    await ring.settled(files)
    await rabbitmq.start()
    await publish(vhost.url, [event(ring, node, 0) for node in ring.nodes])
    await all_taken(vhost, ring.nodes)
