"""Events of a change, to be published once more, in another order, or when they are long out of date."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from services.admin.membership.courier import handoff_events
from services.shared.broker import Broker, Envelope
from services.shared.messages import HandoffEvent, MessageType, handoff_queue
from services.shared.ring.placement import partition_of
from services.shared.ring.view import RingView
from tests.harness.rabbitmq import VirtualHost
from tests.harness.waiting import eventually

_AT_ONCE: Final = 32


def events_about(view: RingView, keys: Iterable[str]) -> list[HandoffEvent]:
    """What an admin tells the nodes of the change in progress, as far as it is about some files."""
    partitions = {partition_of(key) for key in keys}
    return [event for event in handoff_events(view, view.state.nodes) if event.partition in partitions]


async def publish(vhost: VirtualHost, events: Collection[HandoffEvent]) -> None:
    """Publish events in this order."""
    assert events
    waiting = iter(events)
    async with (
        Broker.connect(vhost.url, app_id="test", instance="test") as broker,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(_AT_ONCE):
            group.create_task(_publish_each(broker, waiting))


async def all_taken(vhost: VirtualHost) -> None:
    """Wait until the nodes have settled every event."""

    async def taken() -> bool:
        queues = {
            name: row for name, row in (await vhost.queues()).items() if name.startswith(handoff_queue(""))
        }
        waiting = {name: row.get("messages") for name, row in queues.items()}
        assert queues, "no node has a queue"
        assert not any(waiting.values()), waiting
        return True

    await eventually(taken, deadline_s=120, what="all events are settled")


async def _publish_each(broker: Broker, events: Iterator[HandoffEvent]) -> None:
    for event in events:
        envelope = Envelope(
            type=MessageType.HANDOFF, body=event.encode(), message_id=f"again.{event.partition}"
        )
        await broker.publish_job(handoff_queue(event.node), envelope)
