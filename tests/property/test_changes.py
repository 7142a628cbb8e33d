"""Sequences of membership changes, whatever they are, keep the ring's promises."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.admin.membership import changes
from services.admin.membership.changes import Decision, first_ring
from services.shared.errors import RequestError
from services.shared.ring.state import MAX_PREVIOUS_TABLES, Change, ChangeKind, NodeState
from services.shared.ring.view import RingView
from tests.harness.ring import node_live
from tests.harness.small_ring import few_partitions

NAMES = "abcdefgh"
REQUEST = Change(id="c", kind=ChangeKind.ADD)
ABORT = Change(id="c", kind=ChangeKind.ABORT)
DECISIONS: dict[str, Callable[..., Decision]] = {
    "add": lambda view, node: changes.add(view, node_live(node), change=REQUEST),
    "drain": partial(changes.drain, change=REQUEST, accept_fewer_copies=True),
    "dead": partial(changes.declare_dead, change=REQUEST),
    "replace": lambda view, old, new: changes.replace(view, old, node_live(new), change=REQUEST),
    "weigh": partial(changes.set_weight, change=REQUEST),
    "abort": partial(changes.abort, change=ABORT),
}
GOING_WELL = 1.02
"""Moved data over the least that could be moved."""

nodes = st.sampled_from(NAMES)
steps = st.one_of(
    st.tuples(st.just("add"), nodes),
    st.tuples(st.just("drain"), nodes),
    st.tuples(st.just("dead"), nodes),
    st.tuples(st.just("replace"), nodes, nodes),
    st.tuples(st.just("weigh"), nodes, st.sampled_from([0.5, 1.0, 2.0])),
    st.tuples(st.just("abort")),
    st.tuples(st.just("commit")),
)


@pytest.fixture(autouse=True, scope="module")
def small_ring():
    with few_partitions(16):
        yield


def formed(count: int, replicas: int) -> RingView:
    live = {name: node_live(name) for name in NAMES}
    first = first_ring([live[name] for name in NAMES[:count]], replicas=replicas, cluster_id="c")
    return RingView(state=first.state, tables={first.table.id: first.table}, live=live)


def decide(view: RingView, step: tuple[Any, ...]) -> Decision | None:
    name, *details = step
    if name == "commit":
        state = changes.commit(view, changes.required_syncs(view.state))
        return Decision(state=state, table=view.tables[state.cur]) if state else None
    return DECISIONS[name](view, *details)


def carried_out(view: RingView, decision: Decision) -> RingView:
    tables = {**view.tables, decision.table.id: decision.table}
    return RingView(state=decision.state, tables=tables, live=view.live)


def check(before: RingView, after: RingView) -> None:
    old, new = before.state, after.state
    assert new.epoch == old.epoch + 1
    assert type(new).model_validate_json(new.encode()) == new
    assert len(new.prev) <= MAX_PREVIOUS_TABLES
    assert new.cur not in new.prev
    assert old.nodes.keys() <= new.nodes.keys()
    placeable = {node.id for node in new.placeable()}
    going_to = after.next or after.cur
    assert set(going_to.nodes) <= placeable
    assert going_to.replicas == min(new.replicas, len(placeable))
    assert new.cur == (old.cur if new.migrating else old.next)
    if not new.migrating:
        assert {entry.state for entry in new.nodes.values()} <= {NodeState.ACTIVE, NodeState.REMOVED}
    dead = [node for node, entry in new.nodes.items() if entry.state is NodeState.DEAD]
    assert len(dead) <= max(1, new.write_quorum - 1)


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(st.integers(1, 5), st.integers(1, 3), st.lists(steps, max_size=12))
def test_any_sequence_of_changes_keeps_the_ring_in_order(count, replicas, sequence):
    view = formed(count, replicas)
    for step in sequence:
        decision = None
        with suppress(RequestError):
            decision = decide(view, step)
        if decision:
            following = carried_out(view, decision)
            check(view, following)
            view = following


@settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(st.integers(2, 5), st.integers(1, 3), steps)
def test_an_abort_undoes_whatever_began(count, replicas, step):
    view = formed(count, replicas)
    decision = None
    with suppress(RequestError):
        decision = decide(view, step)
    if decision is None or any(e.state is NodeState.DEAD for e in decision.state.nodes.values()):
        return
    begun = carried_out(view, decision)
    aborting = carried_out(begun, changes.abort(begun, change=ABORT))
    state = changes.commit(aborting, changes.required_syncs(aborting.state))
    assert state is not None
    assert state.cur == view.state.cur
    assert state.placeable() == view.state.placeable()


@pytest.mark.parametrize("count", [3, 4, 9])
@pytest.mark.parametrize("replicas", [2, 3])
def test_an_add_and_a_drain_move_hardly_more_than_they_must(count, replicas):
    with few_partitions(1024):
        live = [node_live(f"n{number}") for number in range(count)]
        first = first_ring(live, replicas=replicas, cluster_id="c")
        view = RingView(state=first.state, tables={first.table.id: first.table})
        added = changes.add(view, node_live("new"), change=REQUEST).table
        assert len(changes.moves(view.cur, added)) <= GOING_WELL * added.counts["new"]
        if count > replicas:
            drained = changes.drain(view, "n0", change=REQUEST).table
            assert len(changes.moves(view.cur, drained)) <= GOING_WELL * view.cur.counts["n0"]
