"""The read and write rules, whatever the ring looks like."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.shared.ring.placement import PARTITIONS
from services.shared.ring.state import NodeEntry, NodeLive, NodeState, Phase, RingState
from services.shared.ring.table import RingTable
from services.shared.ring.view import RingView

NAMES = "abcdefg"
GONE = {NodeState.DEAD, NodeState.REMOVED}

rows = st.permutations(NAMES).flatmap(lambda order: st.integers(1, 3).map(lambda width: tuple(order[:width])))
subsets = st.sets(st.sampled_from(NAMES))
keys = st.integers(0, 10**6).map(lambda number: f"0123456789abcdef/{number}")


@st.composite
def views(draw: st.DrawFn) -> RingView:
    cur, prev = draw(rows), draw(st.lists(rows, max_size=2))
    following = draw(st.none() | rows)
    tables = {
        row: RingTable((row,) * PARTITIONS) for row in (cur, *prev, *([following] if following else []))
    }
    states = {name: draw(st.sampled_from(NodeState)) for name in NAMES}
    state = RingState(
        cluster_id="c",
        epoch=1,
        phase=Phase.MIGRATING if following else Phase.STABLE,
        cur=tables[cur].id,
        next=tables[following].id if following else None,
        prev=tuple(tables[row].id for row in prev),
        replicas=3,
        write_quorum=draw(st.integers(1, 2)),
        nodes={name: NodeEntry(address="a:1", disk_id="d", state=states[name]) for name in NAMES},
    )
    live = {name: NodeLive(id=name, address="a:2", disk_id="d", started_at_ms=0) for name in draw(subsets)}
    return RingView(state=state, tables={table.id: table for table in tables.values()}, live=live)


@given(views(), keys, subsets)
def test_an_acknowledged_write_has_w_copies_and_a_real_owner_in_each_table(view, key, acks):
    if not view.acknowledged(key, acks):
        return
    for owners in filter(None, view.write_sets(key)):
        assert acks & set(owners)
        assert len(acks) >= min(view.state.write_quorum, len(owners))


@given(views(), keys, subsets, subsets)
def test_more_copies_never_undo_an_acknowledgement(view, key, acks, more):
    if view.acknowledged(key, acks):
        assert view.acknowledged(key, acks | more)


@given(views(), keys)
def test_all_owners_together_are_always_enough(view, key):
    targets = view.write_sets(key).targets
    assert view.acknowledged(key, targets) is bool(targets)


@given(views(), keys)
def test_reads_ask_every_owner_that_may_answer_and_every_live_member_once(view, key):
    order = view.read_order(key)
    owners = {node for table in view.tables.values() for node in table.rows[0]}
    present = {name for name, entry in view.state.nodes.items() if entry.state not in GONE}
    assert len(order) == len(set(order))
    assert set(order) == (owners & present) | view.up


@given(views(), keys)
def test_reads_ask_current_owners_before_all_others(view, key):
    cur = [node for node in view.write_sets(key).cur if view.state.nodes[node].state not in GONE]
    assert set(view.read_order(key)[: len(cur)]) == set(cur)


@given(views(), keys)
def test_who_is_asked_first_is_an_owner_if_any_may_answer(view, key):
    owners = {node for table in view.tables.values() for node in table.rows[0]}
    may_answer = {node for node in owners if view.state.nodes[node].state not in GONE}
    assert view.asked_first(key) == (view.read_order(key)[0] if may_answer else None)


@given(views(), keys)
def test_stand_ins_are_live_and_working_members_that_own_nothing_of_the_key(view, key):
    stand_ins = set(view.handoff(key))
    assert stand_ins <= view.up
    assert not stand_ins & set(view.write_sets(key).targets)
    working = {NodeState.ACTIVE, NodeState.JOINING}
    assert {view.state.nodes[node].state for node in stand_ins} <= working
