"""What the ring becomes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.admin.membership import changes
from services.admin.membership.changes import Decision, first_ring
from services.shared.errors import ConflictError, InvalidRequestError, NotFoundError
from services.shared.ring.state import Change, ChangeKind, NodeEntry, NodeLive, NodeState, Phase, RingState
from services.shared.ring.view import RingView
from tests.harness.ring import node_live
from tests.harness.small_ring import few_partitions


@pytest.fixture(autouse=True)
def small_ring():
    with few_partitions(64):
        yield


def change(kind: ChangeKind) -> Change:
    return Change(id=f"c-{kind}", kind=kind)


ADD, DRAIN, DEAD, REPLACE, REBALANCE, ABORT = (change(kind) for kind in ChangeKind)


def formed(names: str, *, replicas: int = 2, down: str = "") -> RingView:
    live = [node_live(name) for name in names]
    first = first_ring(live, replicas=replicas, cluster_id="c")
    return RingView(
        state=first.state,
        tables={first.table.id: first.table},
        live={node.id: node for node in live if node.id not in down},
    )


def after(view: RingView, decision: Decision, *joined: NodeLive) -> RingView:
    """The view once a decision has been carried out."""
    live = {**view.live, **{node.id: node for node in joined}}
    return RingView(
        state=decision.state, tables={**view.tables, decision.table.id: decision.table}, live=live
    )


def ended(view: RingView) -> RingView:
    """The view once everybody has reported sync."""
    state = changes.commit(view, changes.required_syncs(view.state))
    assert state is not None
    return RingView(state=state, tables=view.tables, live=view.live)


def states(state: RingState) -> dict[str, str]:
    return {node: str(entry.state) for node, entry in state.nodes.items()}


# ---- the first ring ----


def test_the_first_ring_has_every_live_node_as_an_active_member():
    live = [node_live("b", zone="east"), node_live("a", zone="west")]
    first = first_ring(live, replicas=2, cluster_id="c")
    assert list(first.state.nodes) == ["a", "b"]
    assert {entry.state for entry in first.state.nodes.values()} == {NodeState.ACTIVE}
    entry = first.state.nodes["b"]
    assert (entry.address, entry.disk_id, entry.zone) == ("b:9090", "disk-b", "east")


def test_the_first_ring_is_stable_at_epoch_one_on_its_table():
    state = first_ring([node_live(name) for name in "abc"], replicas=2, cluster_id="c").state
    assert (state.epoch, state.phase, state.next, state.prev) == (1, Phase.STABLE, None, ())


def test_wanted_copies_are_recorded_even_while_there_are_too_few_nodes():
    first = first_ring([node_live("a")], replicas=3, cluster_id="c")
    assert (first.state.replicas, first.state.write_quorum) == (3, 2)
    assert first.table.replicas == 1


def test_everyone_decides_the_same():
    live = [node_live(name) for name in "abc"]
    one = first_ring(live, replicas=2, cluster_id="c")
    assert one == first_ring(reversed(live), replicas=2, cluster_id="c")


def test_a_ring_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one node"):
        first_ring([], replicas=2, cluster_id="c")


# ---- add ----


def test_a_node_that_is_added_joins_and_owns_its_share_of_the_next_table():
    view = formed("abc")
    decision = changes.add(view, node_live("d"), change=ADD)
    state = decision.state
    assert (state.epoch, state.phase, state.cur, state.change) == (2, Phase.MIGRATING, view.state.cur, ADD)
    assert state.next == decision.table.id
    assert states(state) == {"a": "active", "b": "active", "c": "active", "d": "joining"}
    assert decision.table.counts["d"] == 64 * 2 / 4
    assert RingState.model_validate_json(state.encode()) == state


def test_a_heavier_node_gets_more():
    counts = changes.add(formed("abc"), node_live("d"), change=ADD, weight=3.0).table.counts
    assert counts["d"] == 64
    assert {counts[name] for name in "abc"} <= {21, 22}


def test_an_added_node_is_active_when_the_change_is_over():
    view = formed("abc")
    moving = after(view, changes.add(view, node_live("d"), change=ADD))
    state = ended(moving).state
    assert (state.epoch, state.phase, state.next, state.change) == (3, Phase.STABLE, None, None)
    assert (state.cur, state.prev) == (moving.state.next, (view.state.cur,))
    assert state.nodes["d"].state is NodeState.ACTIVE


def test_a_member_is_not_added_again():
    with pytest.raises(ConflictError, match="a is a member already, at a:9090"):
        changes.add(formed("abc"), node_live("a"), change=ADD)


@pytest.mark.parametrize("down", ["", "a"], ids=["whose lease lasts", "that is away"])
def test_a_node_does_not_join_at_the_address_of_a_member(down):
    view = formed("abc", down=down)
    usurper = node_live("d", address="a:9090")
    wanted = r"replace a a:9090, or give it up with remove a --dead first\."
    with pytest.raises(ConflictError, match=f"a is a member at a:9090, where d answers now.*{wanted}"):
        changes.add(view, usurper, change=ADD)
    with pytest.raises(ConflictError, match="a is a member at a:9090"):
        changes.replace(view, "b", usurper, change=REPLACE)
    assert states(changes.replace(view, "a", usurper, change=REPLACE).state)["d"] == "joining"


def test_the_address_of_a_removed_node_is_free():
    view = formed("abcd")
    gone = ended(after(view, changes.drain(view, "a", change=DRAIN)))
    usurper = node_live("e", address="a:9090")
    assert states(changes.add(gone, usurper, change=ADD).state)["e"] == "joining"


def test_a_dead_node_is_not_added_before_it_is_removed():
    view = formed("abc")
    moving = after(view, changes.declare_dead(view, "a", change=DEAD))
    with pytest.raises(ConflictError, match="add it when that is done"):
        changes.add(moving, node_live("a"), change=ADD)


def test_a_removed_node_may_come_back_with_a_new_disk():
    view = formed("abcd")
    gone = ended(after(view, changes.drain(view, "d", change=DRAIN)))
    returned = node_live("d").model_copy(update={"disk_id": "new"})
    entry = changes.add(gone, returned, change=ADD).state.nodes["d"]
    assert (entry.state, entry.disk_id) == (NodeState.JOINING, "new")


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_impossible_weights_are_refused(weight):
    with pytest.raises(InvalidRequestError, match="above 0"):
        changes.add(formed("abc"), node_live("d"), change=ADD, weight=weight)
    with pytest.raises(InvalidRequestError, match="above 0"):
        changes.set_weight(formed("abc"), "a", weight, change=REBALANCE)


# ---- drain ----


def test_a_drained_node_owns_nothing_next_and_is_removed_at_the_end():
    view = formed("abcd")
    moving = after(view, changes.drain(view, "d", change=DRAIN))
    assert moving.state.nodes["d"].state is NodeState.DRAINING
    assert moving.next is not None
    assert moving.next.nodes == ("a", "b", "c")
    assert ended(moving).state.nodes["d"].state is NodeState.REMOVED


def test_the_last_node_stays():
    with pytest.raises(ConflictError, match="last storage node: add another one first"):
        changes.drain(formed("a"), "a", change=DRAIN, accept_fewer_copies=True)


def test_a_drain_that_leaves_too_few_nodes_for_the_copies_must_be_meant():
    with pytest.raises(ConflictError, match="2 storage nodes for 3 copies"):
        changes.drain(formed("abc", replicas=3), "a", change=DRAIN)
    decision = changes.drain(formed("abc", replicas=3), "a", change=DRAIN, accept_fewer_copies=True)
    assert decision.table.replicas == 2
    assert decision.state.replicas == 3


def test_nodes_that_do_not_exist_are_not_found():
    view = formed("abc")
    with pytest.raises(NotFoundError, match="no storage node x"):
        changes.drain(view, "x", change=DRAIN)
    with pytest.raises(NotFoundError, match="no storage node x"):
        changes.declare_dead(view, "x", change=DEAD)
    with pytest.raises(NotFoundError, match="no storage node x"):
        changes.set_weight(view, "x", 1.0, change=REBALANCE)
    with pytest.raises(NotFoundError, match="no storage node x"):
        changes.replace(view, "x", node_live("d"), change=REPLACE)


def test_a_removed_node_is_not_removed_again():
    view = formed("abcd")
    gone = ended(after(view, changes.drain(view, "d", change=DRAIN)))
    with pytest.raises(ConflictError, match="d is removed already"):
        changes.drain(gone, "d", change=DRAIN)


# ---- one at a time ----


def test_a_second_change_waits_for_the_first():
    view = formed("abcd")
    moving = after(view, changes.drain(view, "d", change=DRAIN))
    refused: list[Callable[[], Decision]] = [
        lambda: changes.add(moving, node_live("e"), change=ADD),
        lambda: changes.drain(moving, "a", change=DRAIN),
        lambda: changes.replace(moving, "a", node_live("e"), change=REPLACE),
        lambda: changes.set_weight(moving, "a", 2.0, change=REBALANCE),
        lambda: changes.rebalance(moving, change=REBALANCE),
    ]
    for begin in refused:
        with pytest.raises(ConflictError, match="wait for its end, or abort it"):
            begin()


# ---- death ----


def test_a_dead_nodes_copies_are_planned_onto_the_others():
    view = formed("abc", down="a")
    decision = changes.declare_dead(view, "a", change=DEAD)
    assert decision.state.nodes["a"].state is NodeState.DEAD
    assert decision.state.cur == view.state.cur
    assert decision.table.nodes == ("b", "c")
    assert ended(after(view, decision)).state.nodes["a"].state is NodeState.REMOVED


def test_a_death_during_an_add_makes_a_new_plan_of_the_same_change():
    view = formed("abc")
    moving = after(view, changes.add(view, node_live("d"), change=ADD))
    replanned = changes.declare_dead(moving, "a", change=DEAD)
    assert (replanned.state.epoch, replanned.state.change) == (3, ADD)
    assert replanned.state.cur == view.state.cur
    assert replanned.table.nodes == ("b", "c", "d")
    assert states(ended(after(moving, replanned)).state) == {
        "a": "removed",
        "b": "active",
        "c": "active",
        "d": "active",
    }


def test_a_death_during_a_drain_lets_the_drain_go_on():
    view = formed("abcd")
    moving = after(view, changes.drain(view, "d", change=DRAIN))
    replanned = after(moving, changes.declare_dead(moving, "a", change=DEAD))
    assert replanned.next is not None
    assert replanned.next.nodes == ("b", "c")
    assert changes.required_syncs(replanned.state) == {"b", "c", "d"}


def test_a_joining_node_that_dies_leaves_the_ring_as_it_was():
    view = formed("abc")
    moving = after(view, changes.add(view, node_live("d"), change=ADD))
    replanned = after(moving, changes.declare_dead(moving, "d", change=DEAD))
    assert replanned.state.next == view.state.cur
    assert states(ended(replanned).state)["d"] == "removed"
    assert ended(replanned).state.prev == ()


def test_a_joining_node_may_die_even_where_there_is_one_copy():
    view = formed("a", replicas=1)
    moving = after(view, changes.add(view, node_live("b"), change=ADD))
    assert changes.declare_dead(moving, "b", change=DEAD).table.nodes == ("a",)
    with pytest.raises(ConflictError, match="files may be lost"):
        changes.declare_dead(moving, "a", change=DEAD)


def test_no_more_nodes_die_at_once_than_copies_allow_unless_that_is_accepted():
    view = formed("abcd", replicas=3)
    moving = after(view, changes.declare_dead(view, "a", change=DEAD))
    with pytest.raises(ConflictError, match="Without b while the copies of a are being made anew"):
        changes.declare_dead(moving, "b", change=DEAD)
    both = changes.declare_dead(moving, "b", change=DEAD, accept_data_loss=True)
    assert both.table.nodes == ("c", "d")


def test_somebody_must_be_left():
    with pytest.raises(ConflictError, match="add another one first"):
        changes.declare_dead(formed("a"), "a", change=DEAD, accept_data_loss=True)
    view = formed("ab")
    moving = after(view, changes.drain(view, "b", change=DRAIN, accept_fewer_copies=True))
    with pytest.raises(ConflictError, match="abort the change in progress first"):
        changes.declare_dead(moving, "a", change=DEAD)


# ---- replace ----


def test_a_replacement_takes_the_old_ones_place_and_nothing_else_moves():
    view = formed("abc")
    decision = changes.replace(view, "a", node_live("d"), change=REPLACE)
    assert states(decision.state) == {"a": "draining", "b": "active", "c": "active", "d": "joining"}
    moves = changes.moves(view.cur, decision.table)
    assert len(moves) == view.cur.counts["a"]
    assert {move.receiver for move in moves} == {"d"}


def test_a_replacement_inherits_the_weight():
    view = formed("abc")
    heavy = ended(after(view, changes.set_weight(view, "a", 2.0, change=REBALANCE)))
    assert changes.replace(heavy, "a", node_live("d"), change=REPLACE).state.nodes["d"].weight == 2.0


def test_a_node_that_is_down_is_replaced_as_a_dead_one():
    view = formed("abc", down="a")
    decision = changes.replace(view, "a", node_live("d"), change=REPLACE)
    assert decision.state.nodes["a"].state is NodeState.DEAD
    assert changes.required_syncs(decision.state) == {"b", "c", "d"}
    with pytest.raises(ConflictError, match="files may be lost"):
        changes.replace(formed("abc", replicas=1, down="a"), "a", node_live("d"), change=REPLACE)


# ---- weights and zones ----


def test_a_new_weight_moves_data_in_proportion():
    counts = changes.set_weight(formed("abcd"), "a", 0.5, change=REBALANCE).table.counts
    assert counts["a"] in {18, 19}


def test_a_rebalance_takes_up_the_zones_that_nodes_say_they_are_in():
    view = formed("abcd")
    moved = {name: node_live(name, zone="ab" if name in "ab" else "cd") for name in "abcd"}
    seen = RingView(state=view.state, tables=view.tables, live=moved)
    decision = changes.rebalance(seen, change=REBALANCE)
    assert {entry.zone for entry in decision.state.nodes.values()} == {"ab", "cd"}
    assert not any(set(row) in ({"a", "b"}, {"c", "d"}) for row in decision.table.rows)


# ---- abort ----


def test_an_aborted_add_goes_back_to_the_old_table_and_empties_the_joining_node():
    view = formed("abc")
    moving = after(view, changes.add(view, node_live("d"), change=ADD))
    aborting = after(moving, changes.abort(moving, change=ABORT))
    assert (aborting.state.epoch, aborting.state.next, aborting.state.change) == (3, view.state.cur, ABORT)
    assert aborting.state.nodes["d"].state is NodeState.DRAINING
    assert changes.required_syncs(aborting.state) == {"a", "b", "c", "d"}
    assert states(ended(aborting).state)["d"] == "removed"


def test_an_aborted_drain_keeps_the_node():
    view = formed("abcd")
    moving = after(view, changes.drain(view, "d", change=DRAIN))
    aborting = after(moving, changes.abort(moving, change=ABORT))
    assert aborting.state.nodes["d"].state is NodeState.ACTIVE
    assert ended(aborting).state.cur == view.state.cur


def test_an_abort_gives_weights_and_zones_back():
    view = formed("abc")
    moving = after(view, changes.set_weight(view, "a", 5.0, change=REBALANCE))
    aborted = changes.abort(moving, change=ABORT).state
    assert aborted.nodes == view.state.nodes
    assert aborted.former == {}


def test_an_abort_after_a_death_still_does_without_the_dead():
    view = formed("abcd")
    moving = after(view, changes.add(view, node_live("e"), change=ADD))
    replanned = after(moving, changes.declare_dead(moving, "a", change=DEAD))
    aborting = after(replanned, changes.abort(replanned, change=ABORT))
    assert aborting.next is not None
    assert aborting.next.nodes == ("b", "c", "d")
    assert states(ended(aborting).state) == {
        "a": "removed",
        "b": "active",
        "c": "active",
        "d": "active",
        "e": "removed",
    }


def test_only_what_can_be_undone_is_aborted():
    view = formed("abc")
    with pytest.raises(ConflictError, match="No change is in progress"):
        changes.abort(view, change=ABORT)
    dying = after(view, changes.declare_dead(view, "a", change=DEAD))
    with pytest.raises(ConflictError, match="cannot be aborted"):
        changes.abort(dying, change=ABORT)
    moving = after(view, changes.add(view, node_live("d"), change=ADD))
    aborting = after(moving, changes.abort(moving, change=ABORT))
    with pytest.raises(ConflictError, match="being aborted already"):
        changes.abort(aborting, change=ABORT)


def test_an_abort_that_would_leave_nobody_is_refused():
    view = formed("a", replicas=1)
    moving = after(view, changes.replace(view, "a", node_live("b"), change=REPLACE), node_live("b"))
    dead = after(moving, changes.declare_dead(moving, "a", change=DEAD, accept_data_loss=True))
    with pytest.raises(ConflictError, match="let it end"):
        changes.abort(dead, change=ABORT)


# ---- commit ----


def test_a_change_is_over_only_when_everybody_has_reported():
    view = formed("abc")
    moving = after(view, changes.add(view, node_live("d"), change=ADD))
    for missing in "abcd":
        assert changes.commit(moving, set("abcd") - {missing}) is None
    assert changes.commit(moving, "abcde") is not None


def test_while_nothing_changes_there_is_nothing_to_end():
    assert changes.commit(formed("abc"), "abc") is None


def test_four_former_tables_are_kept_and_the_one_in_force_is_not_among_them():
    view = formed("abc")
    seen: list[str] = []
    for weight in (0.9, 0.7, 0.5, 0.4, 0.3, 0.2):
        seen.insert(0, view.state.cur)
        view = ended(after(view, changes.set_weight(view, "a", weight, change=REBALANCE)))
    assert view.state.prev == tuple(seen[:4])
    again = ended(after(view, changes.rebalance(view, change=REBALANCE)))
    assert again.state.cur not in again.state.prev


def test_every_copy_to_be_made_is_named_with_its_sources():
    view = formed("ab")
    decision = changes.add(view, node_live("c"), change=ADD)
    moves = changes.moves(view.cur, decision.table)
    assert len(moves) == decision.table.counts["c"]
    assert all(move.receiver == "c" and move.sources == view.owners(move.partition) for move in moves)


def test_addresses_of_members_are_those_they_have_now():
    entry = NodeEntry(address="old:1", disk_id="disk-a")
    view = formed("abc")
    moved = view.state.model_copy(update={"nodes": {**view.state.nodes, "a": entry}})
    with pytest.raises(ConflictError, match="at a:9090"):
        changes.add(RingView(state=moved, tables=view.tables, live=view.live), node_live("a"), change=ADD)
