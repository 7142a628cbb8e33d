"""The cluster's record in etcd: which tables are in force, and which nodes there are.

Keys (spelled here, or in the module named beside them):

- `ring/state`: `RingState`. Every change is one transaction that compares its mod_revision.
- `ring/table/<id>`: a `RingTable`, immutable, written before the state that names it.
- `ring/live/<node>`: `NodeLive`, as long as the node keeps its lease.
- `ring/sync/<epoch>/<node>`: the node has adopted the epoch and handed over what it must.
- `ring/requests/<request id>`: a membership change that was asked for (`requests`).
- `ring/progress/<node>`: how far its part of a change is; for display only.
- `ring/suspects/<node>`: since when a member has been away (`progress`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field, model_validator

from services.shared.record import Record
from services.shared.ring.builder import RingNode

RING_PREFIX: Final = "ring/"
STATE_KEY: Final = "ring/state"
TABLE_PREFIX: Final = "ring/table/"
LIVE_PREFIX: Final = "ring/live/"
SYNC_PREFIX: Final = "ring/sync/"
PROGRESS_PREFIX: Final = "ring/progress/"

FIRST_EPOCH: Final = 1
MAX_PREVIOUS_TABLES: Final = 4
_MAX_WRITE_QUORUM: Final = 2


def table_key(table_id: str) -> str:
    """Where a table is published."""
    return f"{TABLE_PREFIX}{table_id}"


def live_key(node_id: str) -> str:
    """Where a node says that it is up."""
    return f"{LIVE_PREFIX}{node_id}"


def sync_key(epoch: int, node_id: str) -> str:
    """Where a node says that it is done with an epoch's hand-over."""
    return f"{SYNC_PREFIX}{epoch}/{node_id}"


def progress_key(node_id: str) -> str:
    """Where a node shows how far it is."""
    return f"{PROGRESS_PREFIX}{node_id}"


def write_quorum(replicas: int) -> int:
    """Durable copies that make a write count, W: two, where there are two."""
    return min(_MAX_WRITE_QUORUM, replicas)


class Phase(StrEnum):
    """Whether files are on the move."""

    STABLE = "STABLE"
    MIGRATING = "MIGRATING"


class NodeState(StrEnum):
    """Where a storage node is in its life."""

    JOINING = "joining"
    """Owns partitions in `next` only."""
    ACTIVE = "active"
    DRAINING = "draining"
    """Owns partitions in `cur` only."""
    DEAD = "dead"
    """Declared lost: its copies are made anew from the others."""
    REMOVED = "removed"
    """Left for good; kept on record so that it's known when it returns, and because deletions wait for it."""


PLACEABLE: Final = frozenset({NodeState.JOINING, NodeState.ACTIVE})
"""States in which a node may own files in the table to come."""

AT_WORK: Final = PLACEABLE | {NodeState.DRAINING}
"""States in which a node takes writes, and in which a change waits for its report."""


class NodeEntry(Record):
    """A storage node as the cluster knows it, for ever (a removed one stays on record)."""

    address: str
    """Where it was when it was registered; its live key, while there is one, wins."""
    zone: str = "default"
    weight: float = Field(default=1.0, gt=0)
    state: NodeState = NodeState.ACTIVE
    disk_id: str


class ChangeKind(StrEnum):
    """What a membership change does."""

    ADD = "add"
    DRAIN = "drain"
    DEAD = "dead"
    REPLACE = "replace"
    REBALANCE = "rebalance"
    ABORT = "abort"


class Change(Record):
    """The membership change in progress, one at a time."""

    id: str
    kind: ChangeKind
    node: str | None = None
    request_id: str = ""
    """Chosen by who asked: the same request again gets the same answer."""


class NodeLive(Record):
    """What a running storage node says about itself, under its lease."""

    id: str
    address: str
    bulk: str = ""
    """Where it takes bulk connections; empty: nowhere."""
    disk_id: str
    zone: str = "default"
    started_at_ms: int


class RingState(Record):
    """The whole truth about placement at one epoch. Tables are named by their ids."""

    cluster_id: str
    epoch: int = Field(ge=FIRST_EPOCH)
    """Grows by one with every change; fences writes."""
    phase: Phase = Phase.STABLE
    cur: str
    next: str | None = None
    """Where files are moving to; None when STABLE."""
    prev: tuple[str, ...] = Field(default=(), max_length=MAX_PREVIOUS_TABLES)
    """Tables that were in force before, newest first: a late reader's last resort."""
    replicas: int = Field(ge=1)
    write_quorum: int = Field(ge=1)
    nodes: dict[str, NodeEntry]
    former: dict[str, NodeEntry] = Field(default_factory=dict)
    """Nodes whose zone or weight the change in progress alters, as they were: what an abort restores."""
    change: Change | None = None

    @model_validator(mode="after")
    def _phase_fits_next(self) -> RingState:
        if (self.phase is Phase.MIGRATING) != (self.next is not None):
            raise ValueError("a ring state has a next table exactly while it is MIGRATING")
        return self

    @property
    def migrating(self) -> bool:
        """Whether files are on the move."""
        return self.phase is Phase.MIGRATING

    @property
    def tables(self) -> tuple[str, ...]:
        """Ids of every table it names, without repeats: current, next, then former."""
        named = (self.cur, self.next, *self.prev)
        return tuple(dict.fromkeys(table for table in named if table is not None))

    def placeable(self) -> list[RingNode]:
        """The nodes that may own files in a table built now, in order of id."""
        return [
            RingNode(id=node_id, zone=entry.zone, weight=entry.weight)
            for node_id, entry in sorted(self.nodes.items())
            if entry.state in PLACEABLE
        ]
