"""The ring's read and write rules, on small rings where the right answer is plain."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.shared.ring.builder import RingNode, build
from services.shared.ring.placement import PARTITIONS, partition_of
from services.shared.ring.requests import request_key
from services.shared.ring.state import (
    Change,
    ChangeKind,
    NodeEntry,
    NodeLive,
    NodeState,
    Phase,
    RingState,
    live_key,
    progress_key,
    sync_key,
    table_key,
    write_quorum,
)
from services.shared.ring.table import RingTable
from services.shared.ring.view import RingView

KEY = "0123456789abcdef/manifest.mpd"
NAMES = ("a", "b", "c", "d", "e")


def row_table(*row: str) -> RingTable:
    """Every partition has the same owners."""
    return RingTable((row,) * PARTITIONS)


def entry(state: NodeState = NodeState.ACTIVE) -> NodeEntry:
    return NodeEntry(address="old:1", disk_id="disk", state=state)


def alive(node: str, *, disk_id: str = "disk") -> NodeLive:
    return NodeLive(id=node, address=f"{node}:2", disk_id=disk_id, started_at_ms=0)


def ring(
    cur: tuple[str, ...],
    next_: tuple[str, ...] = (),
    *,
    prev: tuple[tuple[str, ...], ...] = (),
    states: dict[str, NodeState] | None = None,
    live: str = "abcde",
) -> RingView:
    tables = {table.id: table for table in (row_table(*row) for row in (cur, next_, *prev) if row)}
    state = RingState(
        cluster_id="cluster",
        epoch=7,
        phase=Phase.MIGRATING if next_ else Phase.STABLE,
        cur=row_table(*cur).id,
        next=row_table(*next_).id if next_ else None,
        prev=tuple(row_table(*row).id for row in prev),
        replicas=3,
        write_quorum=write_quorum(3),
        nodes={name: entry((states or {}).get(name, NodeState.ACTIVE)) for name in NAMES},
    )
    return RingView(state=state, tables=tables, live={node: alive(node) for node in live})


def test_while_stable_the_owners_of_the_current_table_are_the_write_set():
    sets = ring(("a", "b")).write_sets(KEY)
    assert (sets.cur, sets.next) == (("a", "b"), ())
    assert sets.targets == ("a", "b")


def test_while_migrating_both_tables_are_written():
    sets = ring(("a", "b"), ("a", "c")).write_sets(KEY)
    assert (sets.cur, sets.next) == (("a", "b"), ("a", "c"))
    assert sets.targets == ("a", "b", "c")


def test_handoff_offers_live_placeable_nodes_that_are_no_targets_in_an_order_all_agree_on():
    view = ring(("a", "b"), states={"e": NodeState.DRAINING}, live="abcde")
    assert set(view.handoff(KEY)) == {"c", "d"}
    assert list(view.handoff(KEY)) == list(ring(("a", "b"), live="dc").handoff(KEY))
    assert list(ring(("a", "b"), live="abd").handoff(KEY)) == ["d"]


@pytest.mark.parametrize(
    ("cur", "next_", "acks", "stored"),
    [
        ("abc", "", "ab", True),
        ("abc", "", "a", False),
        ("abc", "", "", False),
        ("abc", "", "ad", True),
        ("abc", "", "de", False),
        ("a", "", "a", True),
        ("a", "", "d", False),
        ("abc", "abd", "ab", True),
        ("abc", "abd", "ac", True),
        ("ab", "ac", "bc", True),
        ("ab", "ac", "a", False),
        ("ab", "ac", "abc", True),
        ("ab", "cd", "ab", False),
        ("ab", "cd", "abcd", True),
        ("ab", "cd", "ace", True),
        ("ab", "cd", "abe", False),
        ("a", "ab", "a", False),
        ("a", "ab", "ab", True),
    ],
)
def test_a_write_needs_w_copies_per_table_with_a_real_owner_of_each(cur, next_, acks, stored):
    assert ring(tuple(cur), tuple(next_)).acknowledged(KEY, set(acks)) is stored


def test_a_node_that_leaves_stands_in_for_nobody():
    states = {"b": NodeState.DRAINING}
    assert ring(("a", "b"), ("a", "c"), states=states).acknowledged(KEY, set("ac"))
    assert not ring(("a", "b"), ("a", "c"), states=states).acknowledged(KEY, set("bc"))


def test_an_owner_that_was_declared_dead_is_neither_written_to_nor_counted():
    view = ring(("a", "b"), ("c", "b"), states={"a": NodeState.DEAD})
    assert view.write_sets(KEY).targets == ("b", "c")
    assert view.acknowledged(KEY, set("bc"))
    assert not view.acknowledged(KEY, set("ac"))


def test_when_every_current_owner_is_lost_the_next_ones_are_enough():
    view = ring(("a",), ("b", "c"), states={"a": NodeState.DEAD})
    assert view.acknowledged(KEY, set("bc"))
    assert not view.acknowledged(KEY, set("bd") - {"d"})
    assert not ring(("a",), states={"a": NodeState.DEAD}).acknowledged(KEY, set("a"))


def test_reads_ask_current_then_next_then_former_owners_then_everyone_live():
    order = ring(("a",), ("b",), prev=(("c",), ("d",))).read_order(KEY)
    assert order == ("a", "b", "c", "d", "e")


def test_a_down_owner_is_asked_after_the_live_ones_of_its_table_but_not_left_out():
    order = ring(("a", "b", "c"), live="be").read_order(KEY)
    assert order[0] == "b"
    assert set(order[1:3]) == {"a", "c"}
    assert order[3:] == ("e",)


def test_a_dead_node_is_asked_last_while_it_lives_and_not_at_all_otherwise():
    states = {"a": NodeState.DEAD}
    assert ring(("a", "b"), states=states).read_order(KEY)[-1] == "a"
    assert "a" not in ring(("a", "b"), states=states, live="bc").read_order(KEY)


def test_a_removed_node_that_returned_is_never_asked():
    view = ring(("b", "c"), prev=(("a", "b"),), states={"a": NodeState.REMOVED})
    assert "a" not in view.read_order(KEY)
    assert "a" not in view.handoff(KEY)


def test_reads_of_different_keys_start_at_different_copies():
    view = ring(("a", "b", "c"))
    firsts = {view.read_order(f"0123456789abcdef/{number}")[0] for number in range(50)}
    assert firsts == {"a", "b", "c"}


def test_a_node_is_reached_where_it_says_it_is_now():
    view = ring(("a", "b"), live="a")
    assert view.address("a") == "a:2"
    assert view.address("b") == "old:1"
    assert view.address("stranger") is None


def test_a_node_on_another_disk_than_the_registered_one_is_not_that_node():
    view = ring(("a", "b"), live="b")
    other = RingView(state=view.state, tables=view.tables, live={"a": alive("a", disk_id="copied")})
    assert other.up == frozenset()
    assert other.address("a") == "old:1"


def test_owners_are_those_of_the_tables():
    nodes = [RingNode(id=name) for name in NAMES]
    table = build(nodes, 2)
    state = ring(("a", "b")).state.model_copy(update={"cur": table.id})
    view = RingView(state=state, tables={table.id: table})
    partition = partition_of(KEY)
    assert view.owners(partition) == table.owners(partition) == view.write_sets(KEY).cur
    assert view.next_owners(partition) == ()
    assert (view.epoch, view.migrating, view.cur, view.next) == (7, False, table, None)


def test_a_state_survives_its_encoding():
    change = Change(id="c1", kind=ChangeKind.DRAIN, node="a", request_id="r")
    state = ring(("a", "b"), ("c", "b"), prev=(("d", "e"),)).state.model_copy(update={"change": change})
    assert RingState.model_validate_json(state.encode()) == state
    assert alive("a") == NodeLive.model_validate_json(alive("a").encode())


def test_a_later_versions_extra_fields_are_ignored():
    text = ring(("a", "b")).state.encode().replace(b'"epoch"', b'"brand_new":1,"epoch"')
    assert RingState.model_validate_json(text) == ring(("a", "b")).state


@pytest.mark.parametrize(
    "wrong",
    [
        {"phase": "MIGRATING"},
        {"next": "x"},
        {"epoch": 0},
        {"replicas": 0},
        {"prev": ["1", "2", "3", "4", "5"]},
        {"nodes": {"a": {"address": "a:1", "disk_id": "d", "weight": 0}}},
    ],
)
def test_an_impossible_state_is_refused(wrong):
    good = ring(("a", "b")).state.model_dump(mode="json")
    with pytest.raises(ValidationError):
        RingState.model_validate(good | wrong)


def test_only_joining_and_active_nodes_are_placed():
    states = dict(zip(NAMES, NodeState, strict=True))
    assert [node.id for node in ring(("a", "b"), states=states).state.placeable()] == ["a", "b"]


def test_tables_are_named_once_each_in_the_order_of_reading():
    state = ring(("a",), ("b",), prev=(("a",), ("c",))).state
    assert state.tables == (row_table("a").id, row_table("b").id, row_table("c").id)


def test_keys_are_spelled_as_the_protocol_says():
    keys = [table_key("t"), live_key("n"), sync_key(3, "n"), request_key("r"), progress_key("n")]
    assert keys == [
        "ring/table/t",
        "ring/live/n",
        "ring/sync/3/n",
        "ring/requests/r",
        "ring/progress/n",
    ]
