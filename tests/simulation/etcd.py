"""etcd as the cluster sees it: one state at a time, compare-and-swap, and news that arrives late."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from services.admin.membership.changes import Decision
from services.shared.errors import UnavailableError
from services.shared.ring.state import NodeLive, RingState
from services.shared.ring.table import RingTable
from services.shared.ring.view import RingView

if TYPE_CHECKING:
    from tests.simulation.world import World

_RECONNECT_S = 1.5


class Party:
    """Whoever follows the ring: a node, a client, an admin. What it knows may be old."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.view = world.etcd.view
        self._version = world.etcd.version
        world.etcd.parties.append(self)

    @property
    def cut_off(self) -> bool:
        """Whether etcd is out of its reach."""
        return self.world.now_s < self.world.cut_until.get(self.name, 0.0)

    def hear(self, version: int, view: RingView) -> None:
        """News from the watch, in whatever order it comes."""
        if self.cut_off:
            self.world.loop.call_later(_RECONNECT_S, self.hear, version, view)
        elif version > self._version:
            self._version = version
            self.view = view
            self.changed()

    def changed(self) -> None:
        """The view is a newer one."""

    async def refresh(self) -> RingView:
        """Read the ring linearizably."""
        await self.world.chance.hop()
        if self.cut_off:
            raise UnavailableError("etcd is out of reach.")
        version, view = self.world.etcd.version, self.world.etcd.view
        await self.world.chance.hop()
        self.hear(version, view)
        if self.cut_off:
            raise UnavailableError("etcd is out of reach.")
        return self.view


class Etcd:
    """The cluster's records. `compare` off: the mutant without transactions."""

    compare = True

    def __init__(self, world: World, first: Decision) -> None:
        self._world = world
        self.state: RingState = first.state
        self.tables: dict[str, RingTable] = {first.table.id: first.table}
        self.live: dict[str, NodeLive] = {}
        self.synced: set[tuple[int, str]] = set()
        self.parties: list[Party] = []
        self.version = 0
        self.view = self._current()

    def swap(self, seen_epoch: int, decision: Decision) -> bool:
        """Write a state if the one it was decided from is still in force."""
        if self.compare and seen_epoch != self.state.epoch:
            return False
        self.tables[decision.table.id] = decision.table
        self.state = decision.state
        self._publish()
        return True

    def reports(self, epoch: int) -> Collection[str]:
        """Who has reported sync at an epoch."""
        return {node for at, node in self.synced if at == epoch}

    def set_live(self, node: NodeLive) -> None:
        """A node holds its lease."""
        self.live = {**self.live, node.id: node}
        self._publish()

    def expire(self, node: str) -> None:
        """A node's lease has run out."""
        if node in self.live:
            self.live = {name: live for name, live in self.live.items() if name != node}
            self._publish()

    def _current(self) -> RingView:
        tables = {table: self.tables[table] for table in self.state.tables}
        return RingView(state=self.state, tables=tables, live=self.live)

    def _publish(self) -> None:
        self.version += 1
        self.view = self._current()
        loop = asyncio.get_running_loop()
        for party in self.parties:
            loop.call_later(self._world.chance.hop_s(), partial(party.hear, self.version, self.view))
