"""What goes wrong: processes, disks, connections. Never more disks at once than the copies allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.world import World

_LEASE_TTL_S = (1.5, 4.0)


class Faults:
    """Strikes at random."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = world.chance

    async def run(self) -> None:
        """Strike until cancelled."""
        strikes = [
            self._crash,
            self._crash,
            self._power_cut,
            self._cut_off_node,
            self._cut_off_node,
            self._cut_off_others,
            self._part,
            self._part,
            self._lose_disk,
            self._slow_down_disks,
        ]
        while True:
            await self._chance.pause(0.3, 6.0)
            self._chance.pick(strikes)()

    def _running(self) -> list[Node]:
        return [node for _, node in sorted(self._world.nodes.items()) if node.running]

    def _crash(self) -> None:
        if running := self._running():
            self.stop(self._chance.pick(running), "crashes")

    def _power_cut(self) -> None:
        if self._chance.flip(0.3):
            for node in self._running():
                self.stop(node, "loses power")

    def stop(self, node: Node, why: str) -> None:
        """End a process; it comes back after a while, sooner or later than its lease runs out."""
        node.crash(why=why)
        loop = self._world.loop
        loop.call_later(self._chance.between(*_LEASE_TTL_S), self._expire_unless_back, node)
        loop.call_later(self._chance.between(0.2, 6.0), self._restart, node)

    def _restart(self, node: Node) -> None:
        if not node.running and not node.lost:
            node.start()

    def _expire_unless_back(self, node: Node) -> None:
        if not node.running:
            self._world.etcd.expire(node.name)

    def _cut_off_node(self) -> None:
        """Its lease runs out, and at about that time the node finds out."""
        if running := self._running():
            node = self._chance.pick(running)
            self._cut_off(node.name)
            self._world.loop.call_later(self._chance.between(*_LEASE_TTL_S), self._expire_if_cut, node)
            self._world.loop.call_later(self._chance.between(*_LEASE_TTL_S), node.lose_lease)

    def _expire_if_cut(self, node: Node) -> None:
        if node.cut_off:
            self._world.etcd.expire(node.name)

    def _cut_off_others(self) -> None:
        parties = [party.name for party in self._world.etcd.parties if party.name not in self._world.nodes]
        self._cut_off(self._chance.pick(parties))

    def _cut_off(self, name: str) -> None:
        until_s = self._world.now_s + self._chance.between(1.0, 8.0)
        self._world.cut_until[name] = until_s
        self._world.note(f"{name} is cut off from etcd until {until_s:.1f}")

    def _part(self) -> None:
        everybody = [party.name for party in self._world.etcd.parties]
        one, other = self._chance.pick(everybody), self._chance.pick(sorted(self._world.nodes))
        self._world.network.parted[frozenset((one, other))] = self._world.now_s + self._chance.between(
            1.0, 10.0
        )
        self._world.note(f"{one} and {other} are parted")

    def _slow_down_disks(self) -> None:
        """All at the same time, as where they share a machine."""
        self._world.disks_are_slow = not self._world.disks_are_slow
        self._world.note(f"disks are {'slow' if self._world.disks_are_slow else 'quick again'}")

    def _lose_disk(self) -> None:
        node = self._chance.pick([node for _, node in sorted(self._world.nodes.items())])
        if node.lost or not self._world.may_lose(node.name):
            return
        if node.running:
            self.stop(node, "crashes for good")
        self._world.lose_disk(node)
