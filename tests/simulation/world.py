"""One run: a cluster, its users and operators, and what befalls them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from services.admin.membership.changes import Decision, first_ring
from services.shared.errors import TritonTubeError
from services.shared.ring.state import NodeLive, NodeState
from services.storage.handoff import duties
from tests.harness.small_ring import few_partitions
from tests.simulation import clock
from tests.simulation.admin import Admin
from tests.simulation.chance import Chance
from tests.simulation.clients import FrozenReader, LateWriter, Reader, Writer
from tests.simulation.etcd import Etcd
from tests.simulation.faults import Faults
from tests.simulation.invariants import Invariants, ViolationError
from tests.simulation.network import Network
from tests.simulation.node import Disk, Node

PARTITIONS = 4
_NODES = "abcdef"
_FAULTY_S = 40.0
_SETTLING_S = 240.0
_REWRITES = 0.25


class World:
    """Everything there is in one run."""

    def __init__(self, seed: int) -> None:
        self.chance = Chance(seed)
        self.loop = asyncio.get_running_loop()
        self.trace: list[str] = []
        self.cut_until: dict[str, float] = {}
        self.disks_are_slow = False
        self.acknowledged: list[str] = []
        self._attempted: list[str] = []
        self._over: asyncio.Future[None] = self.loop.create_future()
        self._users: list[asyncio.Task[None]] = []
        self._populate()

    def _populate(self) -> None:
        replicas = self.chance.pick([2, 2, 3])
        members = _NODES[: replicas + self.chance.whole(0, 2)]
        live = [NodeLive(id=n, address=f"{n}:1", disk_id=f"disk-{n}", started_at_ms=0) for n in members]
        self.etcd = Etcd(self, first_ring(live, replicas=replicas, cluster_id="c"))
        self.network = Network(self)
        self.invariants = Invariants(self)
        self.nodes = {name: Node(self, name) for name in _NODES}
        self.admins = [Admin(self, f"admin-{number}") for number in range(2)]
        self.frozen = FrozenReader(self, "frozen-reader")
        self.reader = Reader(self, "reader")
        self.writers = [Writer(self, "writer"), LateWriter(self, "late-writer")]

    # ---- the course of things ----

    async def run(self) -> None:
        """Some time of trouble, then time to settle.

        Raises:
            ViolationError: the protocol broke a promise.
        """
        for node in self.nodes.values():
            node.start()
        for admin in self.admins:
            self._spawn(admin.coordinate())
        mischief = [Faults(self).run(), self._decommission(), *(admin.operate() for admin in self.admins)]
        reads = [reader.run() for reader in (self.reader, self.frozen)]
        writes = [writer.run() for writer in self.writers]
        self._users = [self._spawn(work) for work in (*mischief, *reads, *writes)]
        await self._until_over(_FAULTY_S)
        await self._settle()

    async def _until_over(self, timeout_s: float) -> None:
        await asyncio.wait([self._over], timeout=timeout_s)
        if self._over.done():
            self._over.result()

    async def _settle(self) -> None:
        self.note("faults are over")
        self.chance.calm = True
        for task in self._users:
            task.cancel()
        self.cut_until.clear()
        self.network.parted.clear()
        for node in self.nodes.values():
            self._mend(node)
        deadline_s = self.now_s + _SETTLING_S
        while self._unsettled() and self.now_s < deadline_s:
            await self._until_over(2.0)
        if what := self._unsettled():
            self.note(f"I6: {what}")
            raise ViolationError(f"I6: {what}")
        await self._read_everything()

    def _mend(self, node: Node) -> None:
        """Bring a node back, unless its disk is gone."""
        if node.lost:
            self.etcd.expire(node.name)
        elif not node.running:
            node.start()
        elif node.name not in self.etcd.live:
            node.lose_lease()

    def _unsettled(self) -> str:
        return self.invariants.unsettled() or ("a loss is not repaired" if self.losses() else "")

    async def _read_everything(self) -> None:
        for key in self.acknowledged:
            if not await self.frozen.read(key) and not await self.reader.read(key):
                raise ViolationError(f"I5: {key} cannot be read although all is well")

    async def _decommission(self) -> None:
        """Switch off nodes that say that they may go. Empty ones come in their places, by the same names."""
        while True:
            await self.chance.pause(0.2, 3.0)
            for node in self.nodes.values():
                if node.running and node.adopted and self._may_stop(node):
                    node.crash(why="is switched off")
                    self._wipe(node)

    def _may_stop(self, node: Node) -> bool:
        # Whoever has just had the node added again does not switch it off.
        entry = self.etcd.state.nodes.get(node.name)
        added_again = entry is not None and entry.state is NodeState.JOINING
        assert node.adopted is not None
        return not added_again and duties.may_stop(node.adopted, node.name, files=len(node.disk.files))

    def _wipe(self, node: Node) -> None:
        keys = list(node.disk.files)
        self.etcd.expire(node.name)
        node.disk = Disk(id=f"{node.disk.id}+")
        for key in keys:
            self.invariants.copy_gone(key)
        self.loop.call_later(self.chance.between(1.0, 10.0), self._start_anew, node)

    @staticmethod
    def _start_anew(node: Node) -> None:
        if not node.running and not node.lost:
            node.start()

    # ---- who may do what ----

    def next_key(self) -> str:
        """A file to write: mostly a new one."""
        if self._attempted and self.chance.flip(_REWRITES):
            return self.chance.pick(self._attempted)
        key = f"0123456789abcdef/{len(self._attempted)}"
        self._attempted.append(key)
        return key

    def acknowledge(self, key: str, *, by: str, epoch: int) -> None:
        """A writer was told that its file is stored."""
        self.note(f"{by} has {key} acknowledged at {epoch}, on {sorted(self.holders(key))}")
        if key not in self.acknowledged:
            self.acknowledged.append(key)
        self.invariants.acknowledged(key)

    def spares(self) -> list[str]:
        """Nodes that could be added: up, empty, and no members."""
        entries = self.etcd.state.nodes
        return [
            name
            for name, node in self.nodes.items()
            if node.running and not node.disk.files and not node.disk.unsynced
            if name not in entries or entries[name].state is NodeState.REMOVED
        ]

    def holders(self, key: str) -> set[str]:
        """The nodes with a durable copy on a disk that exists."""
        return {name for name, node in self.nodes.items() if key in node.disk.files}

    def losses(self) -> set[str]:
        """Members that are dead, or whose disk is gone: until all copies have been made anew."""
        entries = self.etcd.state.nodes
        dead = {name for name, entry in entries.items() if entry.state is NodeState.DEAD}
        gone = {n for n in entries if self.nodes[n].lost and entries[n].state is not NodeState.REMOVED}
        return dead | gone

    def may_give_up(self, name: str) -> bool:
        """Whether declaring a node dead leaves at most W-1 lost."""
        return self.losses() <= {name} and self.etcd.state.write_quorum > 1

    def may_lose(self, name: str) -> bool:
        """Whether a disk may break."""
        return self.may_give_up(name) and self.etcd.view.cur.replicas > 1

    def is_fair(self, decision: Decision) -> bool:
        """Whether a decision, at the moment it takes force, stays within what the protocol has to bear.

        It may not if a disk broke, or a node was switched off, after it had been made.
        """
        entries = decision.state.nodes.items()
        dead = {name for name, entry in entries if entry.state is NodeState.DEAD}
        joining = [(name, entry.disk_id) for name, entry in entries if entry.state is NodeState.JOINING]
        return len(dead | self.losses()) <= 1 and all(self.nodes[n].disk.id == disk for n, disk in joining)

    def lose_disk(self, node: Node) -> None:
        """A disk breaks for good."""
        self.note(f"{node.name}'s disk is lost")
        node.lost = True
        node.disk.files.clear()
        node.disk.unsynced.clear()
        self.invariants.disk_lost()

    # ---- keeping track ----

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return self.loop.time()

    def note(self, what: str) -> None:
        """Remember what happened, for who reads the trace."""
        self.trace.append(f"{self.now_s:8.3f} {what}")

    def judge(self, error: BaseException | None) -> None:
        """End the run if somebody met with more than the protocol's own errors."""
        if error is not None and not isinstance(error, TritonTubeError) and not self._over.done():
            self._over.set_exception(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda done: None if done.cancelled() else self.judge(done.exception()))
        return task


@dataclass
class Outcome:
    """What came of one run."""

    seed: int
    trace: list[str] = field(repr=False)
    violation: str = ""
    epochs: int = 0
    files: int = 0

    def __str__(self) -> str:
        story = "\n".join(self.trace)
        again = f"python -m tests.simulation --seed {self.seed}"
        return f"{story}\nseed {self.seed}: {self.violation or 'every promise kept'}\nagain: {again}"


def simulate(seed: int) -> Outcome:
    """Run the world of a seed to its end, or to the first broken promise."""
    outcome = Outcome(seed=seed, trace=[])

    async def main() -> None:
        world = World(seed)
        outcome.trace = world.trace
        with suppress(asyncio.CancelledError):
            try:
                await world.run()
            except ViolationError as violation:
                outcome.violation = str(violation)
            except Exception as error:  # noqa: BLE001 - a run that ends in any other way has failed, too
                outcome.violation = repr(error)
        outcome.epochs = world.etcd.state.epoch
        outcome.files = len(world.acknowledged)

    with few_partitions(PARTITIONS):
        clock.run(main())
    return outcome
