"""What a change would do, from tables and what nodes hold."""

from __future__ import annotations

from services.admin.census import Answer
from services.admin.membership.inventory import Amount, Inventory
from services.admin.membership.preview import Outlook, preview_message
from services.shared.ring.placement import PARTITIONS
from services.shared.ring.table import RingTable
from services.shared.ring.view import RingView
from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from tests.harness.ring import node_live, ring_state

MB = 1_000_000


def table(*row: str) -> RingTable:
    """Every partition has the same owners."""
    return RingTable((row,) * PARTITIONS)


def outlook(
    *,
    up: str = "ab",
    after: RingTable,
    held: dict[str, dict[int, Amount]] | None = None,
    problems: dict[str, str] | None = None,
    free_bytes: int = 100 * MB,
    awaited: str = "ab",
) -> Outlook:
    """Of a ring of a and b, both of which own everything."""
    state, _ = ring_state(["a", "b"])
    cur = table("a", "b")
    view = RingView(
        state=state.model_copy(update={"cur": cur.id}),
        tables={cur.id: cur},
        live={node: node_live(node) for node in up},
    )
    answer = Answer(description=storage_pb2.DescribeResponse(free_bytes=free_bytes))
    return Outlook(
        view=view,
        table=after,
        wanted_copies=2,
        inventory=Inventory(held=held or {}, problems=problems or {}),
        answers=dict.fromkeys(after.nodes, answer),
        awaited=frozenset(awaited),
    )


def test_a_receiver_gets_what_the_fullest_copy_has():
    held = {"a": {5: Amount(3, 3 * MB)}, "b": {5: Amount(2, 2 * MB), 9: Amount(1, MB)}}
    message = preview_message(outlook(after=table("a", "c"), held=held), [])
    moves = {node.node_id: (node.files, node.moved_bytes) for node in message.nodes}
    assert moves == {"a": (0, 0), "b": (0, 0), "c": (4, 4 * MB)}
    assert (message.files, message.moved_bytes, message.partitions) == (4, 4 * MB, PARTITIONS)


def test_what_a_receiver_holds_already_is_not_moved():
    held = {"a": {5: Amount(3, 3 * MB)}, "c": {5: Amount(1, MB)}}
    message = preview_message(outlook(after=table("a", "c"), held=held), [])
    assert (message.files, message.moved_bytes) == (2, 2 * MB)


def test_partitions_and_shares_are_told_before_and_after():
    message = preview_message(outlook(after=table("a", "c")), [])
    told = {node.node_id: (node.partitions_before, node.partitions_after) for node in message.nodes}
    assert told == {"a": (4096, 4096), "b": (4096, 0), "c": (0, 4096)}
    assert {node.share_after for node in message.nodes} == {0.5, 0.0}


def test_a_receiver_without_room_is_warned_of():
    held = {"a": {5: Amount(3, 3 * MB)}}
    message = preview_message(outlook(after=table("a", "c"), held=held, free_bytes=MB), [])
    assert list(message.warnings) == [
        "c has 1.0 MB free and would receive 3.0 MB: give it more room, or add another node."
    ]


def test_fewer_copies_than_wanted_are_warned_of():
    message = preview_message(outlook(after=table("a")), [])
    assert list(message.warnings) == ["Each file would have 1 copy instead of 2."]


def test_members_that_are_away_or_say_nothing_are_warned_of():
    message = preview_message(outlook(up="a", after=table("a", "c"), problems={"b": "Off."}), ["It waits."])
    assert list(message.warnings) == [
        "It waits.",
        "b is away: the change does not end before it is back, or given up.",
        "What b holds is not counted: Off.",
    ]


def test_nobody_waits_for_a_node_that_is_given_up():
    message = preview_message(outlook(up="a", after=table("a", "c"), awaited="a"), [])
    assert list(message.warnings) == []
