"""Handing files over: at every epoch, a node sees to it that the owners hold what it holds.

Events only hurry that. What a node owes follows from the ring and from its own index, so that lost, late and
repeated messages change nothing.
"""

from __future__ import annotations

import asyncio
import logging

from services.shared.ring.view import RingView
from services.storage.handoff.duties import at_work
from services.storage.handoff.duty import Duty
from services.storage.handoff.gear import Gear
from services.storage.handoff.lane import Lane
from services.storage.handoff.reports import Reports
from services.storage.handoff.surplus import Surplus
from services.storage.membership import Membership
from services.storage.patience import patiently

log = logging.getLogger(__name__)


class Handoff:
    """One node's part in moving files: duties as epochs come, and lanes to the other nodes."""

    def __init__(
        self, *, node_id: str, membership: Membership, gear: Gear, surplus: Surplus, reports: Reports
    ) -> None:
        self._node_id = node_id
        self._membership = membership
        self._gear = gear
        self._surplus = surplus
        self._reports = reports
        self._duty: Duty | None = None
        self._lanes: dict[str, Lane] = {}
        self._up: frozenset[str] = frozenset()
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Work at each epoch until the next one, for ever. The node's index must be complete."""
        stop = self._gear.topology.on_change(self._look_for_returned)
        try:
            epoch = 0
            while True:
                view = await self._membership.ring_after(epoch)
                epoch = view.epoch
                async with asyncio.TaskGroup() as group:
                    work = group.create_task(self._work_at(view))
                    await self._membership.ring_after(epoch)
                    work.cancel()
        finally:
            stop()

    async def hand_over(self, partition: int, *, epoch: int) -> None:
        """Hurry a partition; return once its owners have confirmed it, or when `epoch` is history.

        Raises:
            UnavailableError: `epoch` is new to this node, and etcd can't be asked about it.
        """
        await self._membership.catch_up(epoch)
        if self._gear.topology.view.epoch != epoch:
            return
        hurried: Duty | None = None
        while (duty := self._duty) is None or duty.epoch <= epoch:
            if duty and duty.epoch == epoch:
                if duty is not hurried:
                    self._hurry(duty, partition)
                    hurried = duty
                if duty.is_settled(partition):
                    return
            await self._news.wait()

    # ---- one epoch ----

    async def _work_at(self, view: RingView) -> None:
        duty = self._duty = await self._draw_up(view)
        self._lanes = {node: Lane(node, duty, self._gear, node=self._node_id) for node in duty.destinations()}
        self._reports.follow(duty)
        self._tell()
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes.values():
                group.create_task(lane.run())
            if view.migrating:
                await duty.complete.wait()
                if at_work(view, self._node_id):
                    await self._reports.synced(duty)
            else:
                await self._surplus.run(duty)

    @patiently
    async def _draw_up(self, view: RingView) -> Duty:
        """What is owed at an epoch that the node has adopted."""
        moved = await self._reports.moved_before(view.epoch)
        self._gear.store.check_complete()
        held = self._gear.store.index.files()
        self._surplus.look(view, held)
        return Duty(view, self._node_id, held, moved=moved, on_news=self._tell)

    def _hurry(self, duty: Duty, partition: int) -> None:
        duty.hurry(partition)
        for destination, lane in self._lanes.items():
            if partition in duty.lacking(destination):
                lane.wake.set()

    def _look_for_returned(self, view: RingView) -> None:
        """A node that was away may have missed writes, or be able to take what waits for it."""
        for node in view.up - self._up:
            if node in self._lanes:
                self._lanes[node].wake.set()
        self._up = view.up

    def _tell(self) -> None:
        self._reports.news()
        self._news.set()
        self._news = asyncio.Event()
