"""A storage node: real rules (fence, duties) on a modelled disk, in a process that may die at any moment."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from services.shared.errors import ConflictError, TritonTubeError, UnavailableError
from services.shared.ring.placement import partition_of
from services.shared.ring.state import NodeLive, NodeState
from services.shared.ring.view import RingView
from services.storage.fence import Fence, Obstacle
from services.storage.handoff import duties
from services.storage.handoff.duties import Ledger
from tests.simulation.etcd import Party
from tests.simulation.network import Ask

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
Files = Mapping[str, str]
"""Content by key."""

GRACE_S = 3.0
_REPAIR_INTERVAL_S = 8.0
_WAIT_S = 0.01


class NotNowError(Exception):
    """The real thing would wait here."""


class _Turnstile:
    """Stands in for the fence's condition variable: where a thread would wait, the caller comes again."""

    def __enter__(self) -> None:
        """Nobody else is running."""

    def __exit__(self, *_: object) -> Literal[False]:
        return False

    def wait_for(self, ready: Any) -> None:
        """Go on only if there is nothing to wait for."""
        if not ready():
            raise NotNowError

    def notify_all(self) -> None:
        """Whoever waits comes again by itself."""


@dataclass
class Disk:
    """What outlives a process."""

    id: str
    files: dict[str, str] = field(default_factory=dict)
    """Durable copies: content by key."""
    unsynced: dict[str, str] = field(default_factory=dict)
    """Written, but not sure to survive a power cut."""
    epoch: int = 0
    """The newest the node has ever adopted, for the invariant's sake."""


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """Which of some files a node holds, at an epoch."""

    held: frozenset[str]
    epoch: int


class Node(Party):
    """One storage node."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.disk = Disk(id=f"disk-{name}")
        self.lost = False
        """Its disk is gone for good."""
        self.running = False
        self.fence = Fence()
        self.adopted: RingView | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lease_lost = asyncio.Event()
        self._surplus_since: dict[str, float] = {}
        self._passed: tuple[int, float] = (0, 0.0)
        self._hinted = False

    @property
    def live(self) -> NodeLive:
        """What it says about itself."""
        return NodeLive(id=self.name, address=f"{self.name}:1", disk_id=self.disk.id, started_at_ms=0)

    # ---- the process ----

    def start(self) -> None:
        """Start a process on the disk as it is."""
        self.running = True
        self.adopted = None
        self.fence = Fence()
        self.fence._changed = _Turnstile()  # type: ignore[assignment]
        self.fence.clear(Obstacle.TOMBSTONES)
        self._surplus_since.clear()
        self._passed = (0, 0.0)
        self.spawn(self._keep_registered())
        self.spawn(self._hand_over())
        self.world.note(f"{self.name} starts")

    def crash(self, *, why: str) -> None:
        """End the process: what was not synced may or may not be on the disk."""
        self.world.note(f"{self.name} {why}")
        self.running = False
        for task in list(self._tasks):
            task.cancel()
        for key, content in sorted(self.disk.unsynced.items()):
            if self.world.chance.flip():
                self.disk.files.setdefault(key, content)
        self.disk.unsynced.clear()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work that dies with the process."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def lose_lease(self) -> None:
        """The node has noticed that its lease is gone."""
        self._lease_lost.set()

    def hint(self) -> None:
        """An event says that there is something to hand over."""
        self._hinted = True

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self.world.judge(task.exception())

    # ---- its place in the ring ----

    def changed(self) -> None:
        """Adopt the ring that the watch told of."""
        if self.running:
            self.spawn(self._adopt())

    async def _keep_registered(self) -> None:
        while True:
            try:
                await self.refresh()
                self.world.etcd.set_live(self.live)
                self._lease_lost.clear()
                await self.refresh()
                await self._adopt()
            except UnavailableError:
                await self.world.chance.pause(0.1, 1.0)
                continue
            self.fence.clear(Obstacle.LEASE)
            await self._lease_lost.wait()
            self.fence.block(Obstacle.LEASE, "The lease is lost.")

    async def _adopt(self) -> None:
        """Take up the newest ring known, as soon as no commit of an older epoch is under way."""
        while True:
            view = self.view
            try:
                self.fence.adopt(view.epoch)
            except NotNowError:
                self.fence._turns -= 1
                await asyncio.sleep(_WAIT_S)
            else:
                break
        if self.adopted is None or self.adopted.epoch <= view.epoch:
            self.adopted = view
            self._take_place(view)
            self.world.invariants.epoch_adopted(self)

    def _take_place(self, view: RingView) -> None:
        entry = view.entry(self.name)
        if entry is None or entry.disk_id != self.disk.id:
            self.fence.block(Obstacle.PLACE, "The node has not been added.")
        else:
            self.fence.clear(Obstacle.PLACE)
        if duties.at_work(view, self.name):
            self.fence.clear(Obstacle.RETIRED)
        else:
            self.fence.block(Obstacle.RETIRED, "The node has retired.")

    async def _catch_up(self, epoch: int) -> None:
        if epoch > self.fence.epoch:
            await self.refresh()
            await self._adopt()

    # ---- what others ask of it ----

    async def put(self, key: str, content: str, epoch: int) -> None:
        """Store a copy: return once it is durable."""
        await self._catch_up(epoch)
        self.fence.check(epoch=epoch)
        await self._disk_turns()
        await self._catch_up(epoch)
        async with self._commit(epoch):
            await self._store(key, content)

    async def get(self, key: str) -> str | None:
        """A copy; None: it has none."""
        entry = self.adopted.entry(self.name) if self.adopted else None
        if entry and entry.state is NodeState.REMOVED:
            raise UnavailableError("A removed node serves nothing.")
        await self.world.chance.hop()
        return self.disk.files.get(key)

    async def confirm(self, files: Files, epoch: int) -> Confirmation:
        """Say which of these files are durable here. Answers offers and requests to verify."""
        await self._catch_up(epoch)
        async with self._commit(epoch):
            held = {key for key, content in files.items() if self.disk.files.get(key) == content}
            return Confirmation(held=frozenset(held), epoch=self.fence.epoch)

    async def _store(self, key: str, content: str) -> None:
        held = self.disk.files.get(key)
        if held is None:
            self.disk.unsynced[key] = content
            await self._disk_turns()
            self.disk.unsynced.pop(key, None)
            held = self.disk.files.setdefault(key, content)
        if held != content:
            raise ConflictError("Other content is stored under this key.")

    async def _disk_turns(self) -> None:
        """A file is being written or synced: in bad times, for as long as a change of the ring takes."""
        slow = self.world.disks_are_slow and not self.world.chance.calm
        await asyncio.sleep(self.world.chance.between(2.0, 8.0) if slow else self.world.chance.sync_s())

    @asynccontextmanager
    async def _commit(self, epoch: int, *, removal: bool = False) -> AsyncIterator[None]:
        while True:
            passing = self.fence.commit(epoch=epoch, removal=removal)
            try:
                passing.__enter__()
            except NotNowError:
                await asyncio.sleep(_WAIT_S)
            else:
                break
        try:
            yield
        finally:
            passing.__exit__(None, None, None)

    # ---- what it does by itself ----

    async def _hand_over(self) -> None:
        # After an unclean stop the index is read anew from the disk before anything is reported.
        await self.world.chance.pause(0.1, 2.0)
        while True:
            await self.world.chance.pause(0.2, 1.2)
            if self._is_due():
                self._hinted = False
                with suppress(TritonTubeError):
                    await self._pass()
                await self.world.chance.pause(0.0, 2.0)

    def _is_due(self) -> bool:
        if self.adopted is None or self.adopted.epoch != self.fence.epoch:
            return False
        epoch, at_s = self._passed
        return self._hinted or epoch != self.fence.epoch or self.world.now_s > at_s + _REPAIR_INTERVAL_S

    async def _pass(self) -> None:
        """Offer everything held to its owners; then report, or drop what belongs to others."""
        view = self.adopted
        assert view is not None
        held = _by_partition(self.disk.files)
        ledger = Ledger(view, self.name, held)
        for destination in sorted({name for _, name in ledger.lacking}):
            with suppress(TritonTubeError):
                await self._offer(destination, held, ledger, view)
        done = ledger.complete
        if not view.migrating:
            await self._drop_surplus(view)
        elif done and duties.at_work(view, self.name):
            done = await self._report(ledger.epoch)
        if done:
            self._passed = (view.epoch, self.world.now_s)

    async def _offer(
        self, destination: str, held: Mapping[int, Files], ledger: Ledger, view: RingView
    ) -> None:
        due = [partition for partition, name in sorted(ledger.lacking) if name == destination]
        files = {key: content for partition in due for key, content in held[partition].items()}
        answer = await self._ask_confirmation(destination, files, view)
        missing = sorted(files.keys() - answer.held)
        for key in missing:
            await self._push(destination, key, files[key], view)
        if missing:
            answer = await self._ask_confirmation(destination, files, view)
        for partition in due:
            if held[partition].keys() <= answer.held:
                ledger.confirm(partition, destination, epoch=answer.epoch)

    async def _push(self, destination: str, key: str, content: str, view: RingView) -> None:
        await self._call(destination, lambda node: node.put(key, content, view.epoch))

    async def _ask_confirmation(self, owner: str, files: Files, view: RingView) -> Confirmation:
        return await self._call(owner, lambda node: node.confirm(files, view.epoch))

    async def _call(self, owner: str, ask: Ask[T]) -> T:
        return await self.world.network.call(self.name, owner, ask)

    async def _report(self, epoch: int) -> bool:
        await self.world.chance.hop()
        if self.cut_off:
            return False
        self.world.etcd.synced.add((epoch, self.name))
        self.world.note(f"{self.name} reports sync at {epoch}")
        return True

    async def _drop_surplus(self, view: RingView) -> None:
        surplus = [key for key in self.disk.files if not duties.owns(view, self.name, partition_of(key))]
        now_s = self.world.now_s
        self._surplus_since = {key: self._surplus_since.get(key, now_s) for key in surplus}
        for partition, files in sorted(_by_partition({k: self.disk.files[k] for k in surplus}).items()):
            answers: dict[str, Confirmation] = {}
            for owner in view.owners(partition):
                with suppress(TritonTubeError):
                    answers[owner] = await self._ask_confirmation(owner, files, view)
            for key in sorted(files):
                confirmed = {owner: a.epoch for owner, a in answers.items() if key in a.held}
                if self._may_drop(view, key, confirmed):
                    await self._drop(key, view.epoch)

    def _may_drop(self, view: RingView, key: str, confirmed: Mapping[str, int]) -> bool:
        return duties.may_drop(
            view,
            self.name,
            partition_of(key),
            confirmations=confirmed,
            surplus_for_s=self.world.now_s - self._surplus_since[key],
            grace_s=GRACE_S,
        )

    async def _drop(self, key: str, epoch: int) -> None:
        await self.world.chance.hop()
        async with self._commit(epoch, removal=True):
            self.disk.files.pop(key, None)
            self.world.note(f"{self.name} drops {key}")
            self.world.invariants.copy_gone(key)


def _by_partition(files: Files) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for key, content in files.items():
        found[partition_of(key)][key] = content
    return found
