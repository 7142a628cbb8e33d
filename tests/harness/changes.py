"""Membership changes made by hand: decided as an admin decides them, and committed when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count

from services.admin.membership import changes
from services.admin.membership.changes import Decision
from services.shared.ring.placement import partition_of
from services.shared.ring.progress import Progress
from services.shared.ring.state import SYNC_PREFIX, Change, ChangeKind, NodeState, progress_key
from services.shared.ring.view import RingView
from tests.harness.ring import publish
from tests.harness.storage import StorageCluster, StorageNode
from tests.harness.waiting import eventually

DEADLINE_S = 90.0


class Changes:
    """Changes of one cluster's ring."""

    def __init__(self, cluster: StorageCluster) -> None:
        self._cluster = cluster
        self._ids = count(1)

    async def add(self, node: StorageNode) -> int:
        """Begin to take a node in; the epoch."""
        live = self._cluster.topology.live[node.id]
        return await self._begin(lambda view, change: changes.add(view, live, change=change), ChangeKind.ADD)

    def will_own(self, node: StorageNode) -> Callable[[str], bool]:
        """Tells of a key whether a node that is added next will own it."""
        view, live = self._cluster.topology.view, self._cluster.topology.live[node.id]
        table = changes.add(view, live, change=Change(id="none", kind=ChangeKind.ADD)).table
        return lambda key: node.id in table.owners(partition_of(key))

    async def drain(self, node: StorageNode, *, accept_fewer_copies: bool = False) -> int:
        """Begin to empty a node; the epoch."""
        decide = partial(_drain, node.id, accept_fewer_copies)
        return await self._begin(decide, ChangeKind.DRAIN)

    async def give_up(self, node_id: str) -> int:
        """Begin to make a lost node's copies anew; the epoch."""
        return await self._begin(
            lambda view, change: changes.declare_dead(view, node_id, change=change), ChangeKind.DEAD
        )

    async def synced(self) -> set[str]:
        """The nodes that have reported sync at the present epoch."""
        epoch = self._cluster.topology.view.epoch
        snapshot = await self._cluster.client.range_snapshot(f"{SYNC_PREFIX}{epoch}/")
        return {kv.key.rpartition("/")[2] for kv in snapshot.kvs}

    async def all_synced(self) -> None:
        """Wait until everybody has reported who has to."""

        async def reported() -> bool:
            return await self.synced() >= changes.required_syncs(self._cluster.topology.view.state)

        await eventually(reported, deadline_s=DEADLINE_S, what="all nodes have reported sync")

    async def commit(self) -> int:
        """Wait for everybody's report, and end the change; the epoch."""
        await self.all_synced()
        view = await self._cluster.topology.refresh()
        state = changes.commit(view, await self.synced())
        assert state
        return await self._publish(Decision(state=state, table=view.next or view.cur))

    async def progress(self, node: StorageNode) -> Progress | None:
        """What a node says of its part."""
        kv = await self._cluster.client.get(progress_key(node.id))
        return Progress.model_validate_json(kv.value) if kv else None

    def state_of(self, node: StorageNode) -> NodeState:
        """How the ring has a node on record."""
        return self._cluster.topology.view.state.nodes[node.id].state

    async def _begin(self, decide: Callable[[RingView, Change], Decision], kind: ChangeKind) -> int:
        view = await self._cluster.topology.refresh()
        return await self._publish(decide(view, Change(id=f"change-{next(self._ids)}", kind=kind)))

    async def _publish(self, decision: Decision) -> int:
        await publish(self._cluster.client, decision.state, decision.table)
        await self._cluster.topology.wait_for_epoch(decision.state.epoch)
        return decision.state.epoch


def _drain(node: str, accept_fewer_copies: bool, view: RingView, change: Change) -> Decision:  # noqa: FBT001 - bound by partial
    return changes.drain(view, node, change=change, accept_fewer_copies=accept_fewer_copies)
