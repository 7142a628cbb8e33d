"""What the ring becomes: pure decisions. The coordinator carries them out, each as one transaction.

Every decision takes the view it was made from and gives the state of the next epoch. A change of the
membership makes the ring MIGRATING: `cur` stays in force, `next` names where files move to. `commit` ends it
once every node that may hold files has reported that all of them are at their owners in `next`.

Refusals are sentences that say what to do; they change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from services.shared.errors import ConflictError, InvalidRequestError, NotFoundError
from services.shared.ring.builder import RingNode, build
from services.shared.ring.placement import PARTITIONS
from services.shared.ring.state import (
    AT_WORK,
    FIRST_EPOCH,
    MAX_PREVIOUS_TABLES,
    PLACEABLE,
    Change,
    ChangeKind,
    NodeEntry,
    NodeLive,
    NodeState,
    Phase,
    RingState,
    write_quorum,
)
from services.shared.ring.table import RingTable
from services.shared.ring.view import RingView

_AFTER_COMMIT: Final = {
    NodeState.JOINING: NodeState.ACTIVE,
    NodeState.ACTIVE: NodeState.ACTIVE,
    NodeState.DRAINING: NodeState.REMOVED,
    NodeState.DEAD: NodeState.REMOVED,
    NodeState.REMOVED: NodeState.REMOVED,
}
_AFTER_ABORT: Final = {
    NodeState.JOINING: NodeState.DRAINING,
    NodeState.DRAINING: NodeState.ACTIVE,
}


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A state to write, and the table it names that may not be published yet."""

    state: RingState
    table: RingTable


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A copy of a partition that a change makes."""

    partition: int
    receiver: str
    sources: tuple[str, ...]
    """Its owners now. Any of them may be down."""


def first_ring(live: Iterable[NodeLive], *, replicas: int, cluster_id: str) -> Decision:
    """The ring's first state: every live node is a member, all files' copies are where they should be.

    Raises:
        ValueError: no node is live.
    """
    members = sorted(live, key=lambda node: node.id)
    table = build([RingNode(id=node.id, zone=node.zone) for node in members], replicas)
    state = RingState(
        cluster_id=cluster_id,
        epoch=FIRST_EPOCH,
        cur=table.id,
        replicas=replicas,
        write_quorum=write_quorum(replicas),
        nodes={node.id: _entry(node, NodeState.ACTIVE) for node in members},
    )
    return Decision(state=state, table=table)


# ---- beginning a change ----


def add(view: RingView, live: NodeLive, *, change: Change, weight: float = 1.0) -> Decision:
    """Take a node in, or a removed one back. That it is empty and of this cluster, the caller has checked.

    Raises:
        ConflictError: it is a member already, a member is known at its address, or another change is in
            progress.
        InvalidRequestError: the weight is not a positive number.
    """
    _check_weight(weight)
    _check_stranger(view, live)
    _check_address(view, live)
    _check_stable(view)
    return _migration(view, change, {live.id: _entry(live, NodeState.JOINING, weight=weight)})


def drain(view: RingView, node: str, *, change: Change, accept_fewer_copies: bool = False) -> Decision:
    """Move all files off a node, then remove it.

    Raises:
        ConflictError: it cannot be spared, or another change is in progress.
        NotFoundError: there is no such node.
    """
    entry = _member(view, node)
    _check_stable(view)
    left = len(_others(view, node))
    if left == 0:
        raise ConflictError(f"{node} is the last storage node: add another one first.")
    if left < view.state.replicas and not accept_fewer_copies:
        raise ConflictError(
            f"Without {node} there would be {left} storage nodes for {view.state.replicas} copies of each"
            " file: add a node first, or accept fewer copies."
        )
    return _migration(view, change, {node: _in_state(entry, NodeState.DRAINING)})


def declare_dead(view: RingView, node: str, *, change: Change, accept_data_loss: bool = False) -> Decision:
    """Give a node up: its copies are made anew from the others.

    A change in progress is planned anew from the current owners, and goes on under its own record.

    Raises:
        ConflictError: more nodes would be lost than the copies allow, or nobody would be left.
        NotFoundError: there is no such node.
    """
    entry = _member(view, node)
    if not _others(view, node):
        raise ConflictError(
            f"Without {node} no storage node would be left to hold files:"
            + (" abort the change in progress first." if view.migrating else " add another one first.")
        )
    if not accept_data_loss:
        _check_losses(view, node)
    return _migration(view, view.state.change or change, {node: _in_state(entry, NodeState.DEAD)})


def replace(
    view: RingView, node: str, live: NodeLive, *, change: Change, accept_data_loss: bool = False
) -> Decision:
    """Put a new node in another's place. The old one hands its files over if it is up, else it is given up.

    Raises:
        ConflictError: the new one is a member already, a third one is known at its address, the loss of the
            old one would lose files, or another change is in progress.
        NotFoundError: there is no such old node.
    """
    entry = _member(view, node)
    _check_stranger(view, live)
    _check_address(view, live, leaver=node)
    _check_stable(view)
    lost = node not in view.up
    if lost and not accept_data_loss:
        _check_losses(view, node)
    entries = {
        node: _in_state(entry, NodeState.DEAD if lost else NodeState.DRAINING),
        live.id: _entry(live, NodeState.JOINING, weight=entry.weight),
    }
    return _migration(view, change, entries, start=_renamed(view.cur, node, live.id))


def set_weight(view: RingView, node: str, weight: float, *, change: Change) -> Decision:
    """Change a node's share of the data relative to the others.

    Raises:
        ConflictError: another change is in progress.
        InvalidRequestError: the weight is not a positive number.
        NotFoundError: there is no such node.
    """
    _check_weight(weight)
    entry = _member(view, node)
    _check_stable(view)
    return _migration(view, change, {node: entry.model_copy(update={"weight": weight})})


def rebalance(view: RingView, *, change: Change) -> Decision:
    """Plan the table anew from the nodes' weights, and from the zones that they say they are in now.

    Raises:
        ConflictError: another change is in progress.
    """
    _check_stable(view)
    zones = {node: view.live[node].zone for node in view.up}
    entries = {
        node: view.state.nodes[node].model_copy(update={"zone": zone}) for node, zone in sorted(zones.items())
    }
    return _migration(view, change, entries)


def abort(view: RingView, *, change: Change) -> Decision:
    """Move files back to where they were before the change in progress. Nodes that died meanwhile stay dead.

    Raises:
        ConflictError: nothing is in progress that could be aborted.
    """
    running = view.state.change
    if running is None or not view.migrating:
        raise ConflictError("No change is in progress.")
    if running.kind is ChangeKind.ABORT:
        raise ConflictError("The change is being aborted already.")
    if running.kind is ChangeKind.DEAD:
        raise ConflictError("A lost node's copies are being made anew: that cannot be aborted.")
    entries = {node: _before(view.state, node) for node in view.state.nodes}
    if not any(entry.state in PLACEABLE for entry in entries.values()):
        raise ConflictError("Without this change no storage node would be left to hold files: let it end.")
    return _back(view, change, entries)


# ---- ending it ----


def required_syncs(state: RingState) -> frozenset[str]:
    """The nodes that must have reported sync, at exactly the state's epoch, before a change is over."""
    return frozenset(node for node, entry in state.nodes.items() if entry.state in AT_WORK)


def commit(view: RingView, synced: Collection[str]) -> RingState | None:
    """The state after the change in progress; None while there is none, or somebody's report is missing.

    Args:
        view: the ring.
        synced: nodes that reported sync at exactly this epoch. Reports of earlier ones count for nothing: the
            plan may have been another.
    """
    state = view.state
    if state.next is None or not required_syncs(state) <= set(synced):
        return None
    former = [table for table in dict.fromkeys((state.cur, *state.prev)) if table != state.next]
    nodes = {node: _in_state(entry, _AFTER_COMMIT[entry.state]) for node, entry in state.nodes.items()}
    return state.model_copy(
        update={
            "epoch": state.epoch + 1,
            "phase": Phase.STABLE,
            "cur": state.next,
            "next": None,
            "prev": tuple(former[:MAX_PREVIOUS_TABLES]),
            "nodes": nodes,
            "former": {},
            "change": None,
        }
    )


def moves(cur: RingTable, following: RingTable) -> list[Move]:
    """The copies to be made on the way from one table to another, in order of partition."""
    return [
        Move(partition=partition, receiver=receiver, sources=cur.owners(partition))
        for partition in range(PARTITIONS)
        for receiver in following.owners(partition)
        if receiver not in cur.owners(partition)
    ]


# ---- how a plan is made ----


def _migration(
    view: RingView, change: Change, entries: Mapping[str, NodeEntry], *, start: RingTable | None = None
) -> Decision:
    """The ring on its way to what these entries make of it, with as little moved as possible."""
    state = view.state
    former = {
        node: state.nodes[node]
        for node, entry in entries.items()
        if _is_reweighed(state.nodes.get(node), entry)
    }
    nodes = {**state.nodes, **entries}
    return _planned(view, change, nodes, former={**former, **state.former}, start=start or view.cur)


def _back(view: RingView, change: Change, entries: Mapping[str, NodeEntry]) -> Decision:
    """The ring on its way to its current table: as it is, but for owners that are dead."""
    if all(entries[owner].state in PLACEABLE for owner in view.cur.nodes):
        return _heading_for(view.cur, view, change, entries, former={})
    return _planned(view, change, entries, former={}, start=view.cur)


def _planned(
    view: RingView,
    change: Change,
    nodes: Mapping[str, NodeEntry],
    *,
    former: Mapping[str, NodeEntry],
    start: RingTable,
) -> Decision:
    members = view.state.model_copy(update={"nodes": dict(nodes)}).placeable()
    table = build(members, view.state.replicas, previous=start)
    return _heading_for(table, view, change, nodes, former=former)


def _heading_for(
    table: RingTable,
    view: RingView,
    change: Change,
    nodes: Mapping[str, NodeEntry],
    *,
    former: Mapping[str, NodeEntry],
) -> Decision:
    state = view.state.model_copy(
        update={
            "epoch": view.epoch + 1,
            "phase": Phase.MIGRATING,
            "next": table.id,
            "nodes": dict(sorted(nodes.items())),
            "former": dict(former),
            "change": change,
        }
    )
    return Decision(state=state, table=table)


def _entry(live: NodeLive, state: NodeState, *, weight: float = 1.0) -> NodeEntry:
    return NodeEntry(address=live.address, zone=live.zone, weight=weight, state=state, disk_id=live.disk_id)


def _in_state(entry: NodeEntry, state: NodeState) -> NodeEntry:
    return entry.model_copy(update={"state": state})


def _is_reweighed(old: NodeEntry | None, new: NodeEntry) -> bool:
    """Whether a member's standing with the builder is changed (a node that joins had none)."""
    return (
        old is not None
        and old.state is not NodeState.REMOVED
        and (old.zone, old.weight) != (new.zone, new.weight)
    )


def _before(state: RingState, node: str) -> NodeEntry:
    """A node's entry as an abort leaves it."""
    entry = state.nodes[node]
    old = state.former.get(node, entry)
    return entry.model_copy(
        update={
            "state": _AFTER_ABORT.get(entry.state, entry.state),
            "zone": old.zone,
            "weight": old.weight,
        }
    )


def _renamed(table: RingTable, old: str, new: str) -> RingTable:
    return RingTable(tuple(tuple(new if node == old else node for node in row) for row in table.rows))


# ---- what is refused ----


def _check_weight(weight: float) -> None:
    if not (math.isfinite(weight) and weight > 0):
        raise InvalidRequestError(
            f"A node's weight is a number above 0, 1 being the usual one: not {weight}."
        )


def _check_stable(view: RingView) -> None:
    if view.migrating:
        raise ConflictError("A change is in progress: wait for its end, or abort it.")


def _check_stranger(view: RingView, live: NodeLive) -> None:
    entry = view.entry(live.id)
    if entry is None or entry.state is NodeState.REMOVED:
        return
    if entry.state is NodeState.DEAD:
        raise ConflictError(f"{live.id} is being removed as dead: add it when that is done.")
    raise ConflictError(f"{live.id} is a member already, at {view.address(live.id)}.")


def _check_address(view: RingView, live: NodeLive, *, leaver: str = "") -> None:
    """Whoever is there took another's address, on an empty disk most likely; of two, each would be both."""
    for node, entry in view.state.nodes.items():
        if node not in {live.id, leaver} and entry.state in AT_WORK and view.address(node) == live.address:
            raise ConflictError(
                f"{node} is a member at {live.address}, where {live.id} answers now: put that one in its"
                f" place with replace {node} {live.address}, or give it up with remove {node} --dead first."
            )


def _member(view: RingView, node: str) -> NodeEntry:
    entry = view.entry(node)
    if entry is None:
        raise NotFoundError(f"There is no storage node {node}: see the status for those there are.")
    if entry.state not in AT_WORK:
        raise ConflictError(f"{node} is {entry.state} already.")
    return entry


def _others(view: RingView, node: str) -> list[RingNode]:
    """Who could hold files without this node."""
    return [other for other in view.state.placeable() if other.id != node]


def _check_losses(view: RingView, node: str) -> None:
    """At most W-1 nodes may be dead at once: an acknowledged file has W copies.

    A node that joins is no loss while it is the only one: every file has its copies on owners in `cur`.
    """
    dead = [name for name, entry in view.state.nodes.items() if entry.state is NodeState.DEAD]
    if not dead and view.state.nodes[node].state is NodeState.JOINING:
        return
    allowed = min(view.state.write_quorum, view.cur.replicas) - 1
    if len(dead) >= allowed:
        others = f" while the copies of {', '.join(dead)} are being made anew" if dead else ""
        raise ConflictError(
            f"Without {node}{others} files may be lost: bring it back, or accept the loss of data."
        )
