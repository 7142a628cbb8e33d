"""Tells storage nodes through the broker what to hand over: one event per source and partition.

Events are hints. A node learns of a change from etcd as well, so nothing is lost with an event, nor with the
broker: publishing is tried again for those nodes that seem to have heard nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import groupby
from typing import Final

from services.admin.membership import changes
from services.admin.membership.records import Records
from services.admin.membership.silence import Silence
from services.shared.broker import Broker, Envelope
from services.shared.errors import TritonTubeError, UnavailableError
from services.shared.lifecycle import heed_cancellation
from services.shared.messages import HandoffEvent, HandoffReason, MessageType, handoff_queue
from services.shared.pace import Pace
from services.shared.ring.state import ChangeKind
from services.shared.ring.view import RingView
from services.shared.topology import Topology

log = logging.getLogger(__name__)

QUIET_S: Final = 30.0
"""A source that shows no progress for so long is told again."""

_LOOK_S: Final = 5.0
_AT_ONCE: Final = 16
_EVENTS_PER_S: Final = 200.0
"""At most: the process that tells has viewers to serve, and nodes get on without being told."""
_REASONS: Final = {
    ChangeKind.ADD: HandoffReason.JOIN,
    ChangeKind.DRAIN: HandoffReason.DRAIN,
    ChangeKind.DEAD: HandoffReason.DEAD,
    ChangeKind.REPLACE: HandoffReason.DRAIN,
    ChangeKind.REBALANCE: HandoffReason.JOIN,
    ChangeKind.ABORT: HandoffReason.REPAIR,
}


class Courier:
    """Publishes the events of the change in progress.

    Args:
        broker: may be away; then the nodes go by etcd alone.
        topology: the ring.
        records: who has reported what.
        quiet_s: how long a source may show no progress.
    """

    def __init__(
        self, broker: Broker, topology: Topology, records: Records, *, quiet_s: float = QUIET_S
    ) -> None:
        self._broker = broker
        self._topology = topology
        self._records = records
        self._quiet_s = quiet_s
        self._due = asyncio.Event()
        self._silence = Silence(quiet_s)
        self._pace = Pace(_EVENTS_PER_S)

    def announce(self) -> None:
        """This instance has begun a change: tell every source now."""
        self._due.set()

    async def run(self) -> None:
        """Publish what is due, until cancelled."""
        while True:
            announced = await self._wait()
            with suppress(UnavailableError):
                await self._round(self._topology.view, announced=announced)

    async def _wait(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(min(_LOOK_S, self._quiet_s)):
                await self._due.wait()
        announced = self._due.is_set()
        self._due.clear()
        return announced

    async def _round(self, view: RingView, *, announced: bool) -> None:
        if not view.migrating:
            return
        silent = self._silent(view)
        due = changes.required_syncs(view.state) if announced else silent
        if due:
            await self._publish(view, due)

    def _silent(self, view: RingView) -> set[str]:
        """Sources that have shown nothing new for a while."""
        sources = changes.required_syncs(view.state) - self._records.synced(view.epoch)
        shown = {node: self._records.progress.record(node) for node in sources}
        return self._silence.of(view.epoch, shown, now_s=asyncio.get_running_loop().time())

    async def _publish(self, view: RingView, sources: Collection[str]) -> None:
        events = iter(await asyncio.to_thread(lambda: list(handoff_events(view, sources))))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(self._publish_each(events))
        except* TritonTubeError as errors:
            heed_cancellation()
            log.warning("storage nodes are not told through the broker: %s", errors.exceptions[0])

    async def _publish_each(self, events: Iterator[HandoffEvent]) -> None:
        for event in events:
            await self._pace.take(1)
            if event.epoch != self._topology.view.epoch:
                return
            await self._broker.publish_job(handoff_queue(event.node), _envelope(event))


def handoff_events(view: RingView, sources: Collection[str]) -> Iterator[HandoffEvent]:
    """What to tell these nodes of the change in progress. Pure."""
    change, table = view.state.change, view.next
    if change is None or table is None:
        return
    moves = groupby(changes.moves(view.cur, table), key=lambda move: (move.partition, move.sources))
    for (partition, owners), group in moves:
        destinations = tuple(move.receiver for move in group)
        for node in owners:
            if node in sources:
                yield HandoffEvent(
                    change_id=change.id,
                    epoch=view.epoch,
                    partition=partition,
                    node=node,
                    destinations=destinations,
                    reason=_REASONS[change.kind],
                )


def _envelope(event: HandoffEvent) -> Envelope:
    return Envelope(
        type=MessageType.HANDOFF,
        body=event.encode(),
        message_id=f"{event.epoch}.{event.partition}.{event.node}",
        correlation_id=event.change_id,
        title=f"{event.reason}: partition {event.partition} to {', '.join(event.destinations)}",
    )
