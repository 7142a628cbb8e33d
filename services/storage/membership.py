"""The node's place in the cluster: its live key under a lease, and the ring it goes by.

Writes are only taken while the lease is held, and, after every time it was not, only once the ring has been
read from a majority of etcd: a node that was cut off must not go on by an old ring. Reads go on regardless.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from services.shared.errors import ConflictError, UnavailableError
from services.shared.etcd import EtcdClient, KeyValue, Lease, mod_revision_is, put_op
from services.shared.refrain import Refrain
from services.shared.ring.state import NodeLive, NodeState, live_key
from services.shared.ring.view import RingView
from services.shared.topology import Topology
from services.storage.fence import Fence, Obstacle
from services.storage.handoff.duties import at_work
from services.storage.identity import Identity
from services.storage.patience import patiently
from services.storage.threads import Threads

log = logging.getLogger(__name__)

_PAUSE_S: Final = 0.5


class Membership:
    """Keeps one node registered, and its fence in line with the ring."""

    def __init__(
        self,
        *,
        etcd: EtcdClient,
        topology: Topology,
        fence: Fence,
        identity: Identity,
        threads: Threads,
        live: NodeLive,
        lease_ttl_s: int,
    ) -> None:
        self._etcd = etcd
        self._topology = topology
        self._fence = fence
        self._identity = identity
        self._threads = threads
        self._live = live
        self._lease_ttl_s = lease_ttl_s
        self._rivalry = Refrain(log, level=logging.ERROR)
        self._adopting = asyncio.Lock()
        self._place: RingView | None = None
        self._moved = asyncio.Event()

    @property
    def removed(self) -> bool:
        """Whether the node knows that it has been removed from the ring."""
        entry = self._place.entry(self._live.id) if self._place else None
        return entry is not None and entry.state is NodeState.REMOVED

    def is_asked_first(self, key: str) -> bool:
        """Whether readers of a file ask this node before the others. Any thread may ask."""
        return self._place is not None and self._place.asked_first(key) == self._live.id

    async def ring_after(self, epoch: int) -> RingView:
        """Wait, for ever if need be, for a newer ring that the node goes by and has a place in.

        No write of an older epoch can follow, nor is one in flight.
        """
        while self._place is None or self._place.epoch <= epoch:
            await self._moved.wait()
        return self._place

    async def catch_up(self, epoch: int) -> None:
        """Know a ring at least as new as `epoch`.

        Raises:
            UnavailableError: etcd can't be asked.
        """
        if epoch > self._fence.epoch:
            await self._topology.refresh()
            await self._adopt()

    async def keep_registered(self) -> None:
        """Hold the live key, for ever; each time it was lost, begin again."""
        while True:
            await self._register()

    async def follow_ring(self) -> None:
        """Adopt each ring that this process hears of, for ever."""
        changed = asyncio.Event()
        stop = self._topology.on_change(lambda _: changed.set())
        try:
            while True:
                await changed.wait()
                changed.clear()
                await self._adopt()
        finally:
            stop()

    @patiently
    async def _register(self) -> None:
        async with self._etcd.lease(self._lease_ttl_s) as lease:
            try:
                await self._take_live_key(lease)
                await self._read_ring(lease)
                await lease.lost.wait()
            finally:
                self._fence.block(Obstacle.LEASE, "The node has lost its lease in etcd.")
        log.warning("the lease is lost: no writes until the node is registered again")

    async def _take_live_key(self, lease: Lease) -> None:
        """Write the live key. One left behind by an earlier process of this node is taken over."""
        while not lease.lost.is_set():
            held = await self._etcd.get(live_key(self._live.id))
            address = _address(held)
            if address in {"", self._live.address}:
                if await self._replace(held, lease):
                    self._rivalry.end("The other process is gone: this one is the node now.")
                    return
                continue
            reason = (
                f"A process at {address} says that it is this node: was the disk copied? "
                "Start this one on an empty disk, or stop the other one."
            )
            self._rivalry.say(reason)
            self._fence.block(Obstacle.LEASE, reason)
            await _pause(lease)

    async def _replace(self, held: KeyValue | None, lease: Lease) -> bool:
        key = live_key(self._live.id)
        as_seen = mod_revision_is(key, held.mod_revision if held else 0)
        return (
            await self._etcd.txn([as_seen], [put_op(key, self._live.encode(), lease_id=lease.id)])
        ).succeeded

    async def _read_ring(self, lease: Lease) -> None:
        """Adopt what a majority of etcd says now, then let writes pass. Waits for a ring to be formed."""
        while not lease.lost.is_set():
            try:
                await self._topology.refresh()
                await self._adopt()
            except UnavailableError as error:
                self._fence.block(Obstacle.LEASE, str(error))
                await _pause(lease)
            else:
                self._fence.clear(Obstacle.LEASE)
                return

    async def _adopt(self) -> None:
        """Go by the newest ring known. One at a time, so that an older one never has the last word."""
        async with self._adopting:
            view = self._topology.view
            no_place = await self._threads.run(self._why_no_place, view)
            retired = self._why_retired(view)
            for obstacle, reason in ((Obstacle.PLACE, no_place), (Obstacle.RETIRED, retired)):
                if reason:
                    self._fence.block(obstacle, reason)
            await self._threads.run(self._fence.adopt, view.epoch)
            for obstacle, reason in ((Obstacle.PLACE, no_place), (Obstacle.RETIRED, retired)):
                if not reason:
                    self._fence.clear(obstacle)
            self._settle_in(None if no_place else view)

    def _settle_in(self, view: RingView | None) -> None:
        """Take note of the ring that the node goes by, if it has a place in it."""
        self._place = view
        self._moved.set()
        self._moved = asyncio.Event()

    def _why_no_place(self, view: RingView) -> str:
        """Why the ring has no place for this node; empty where it has one. Binds the disk to its cluster."""
        entry = view.entry(self._live.id)
        if entry is None or entry.disk_id != self._live.disk_id:
            return "The node has not been added to the ring."
        try:
            self._identity.join(view.state.cluster_id)
        except ConflictError as error:
            log.error("%s", error)  # noqa: TRY400 - a sentence for the operator
            return str(error)
        return ""

    def _why_retired(self, view: RingView) -> str:
        """Why the node adds nothing to what it holds any more; empty where it does."""
        if view.entry(self._live.id) is None or at_work(view, self._live.id):
            return ""
        if view.state.nodes[self._live.id].state is NodeState.REMOVED:
            return "The node has been removed from the ring."
        return "The node has been given up: its files are copied anew from the other nodes."


def _address(held: KeyValue | None) -> str:
    """Where a live key says that its process is; empty for none, or one that can't be read."""
    with suppress(ValueError):
        return NodeLive.model_validate_json(held.value).address if held else ""
    return ""


async def _pause(lease: Lease) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_PAUSE_S):
            await lease.lost.wait()
