"""What is left to hand over, and what is said of it."""

from __future__ import annotations

from itertools import count

import pytest

from services.shared.ring.placement import partition_of
from services.shared.ring.state import NodeLive, Phase
from services.shared.ring.table import RingTable
from services.shared.ring.view import RingView
from services.storage.disk.objectfile import ObjectInfo
from services.storage.handoff.duty import Amount, Duty
from tests.harness.ring import node_live, ring_state

NAMES = ("a", "b", "c")


def view_of(cur: RingTable, following: RingTable | None = None) -> RingView:
    state, _ = ring_state(NAMES, epoch=7)
    phase = Phase.MIGRATING if following else Phase.STABLE
    state = state.model_copy(
        update={"cur": cur.id, "next": following.id if following else None, "phase": phase}
    )
    live: dict[str, NodeLive] = {name: node_live(name) for name in NAMES}
    tables = {table.id: table for table in (cur, following) if table}
    return RingView(state=state, tables=tables, live=live)


@pytest.fixture
def moving() -> RingView:
    """Everything goes from a and b to b and c."""
    return view_of(RingTable((("a", "b"),) * 4096), RingTable((("b", "c"),) * 4096))


@pytest.fixture
def at_rest() -> RingView:
    return view_of(RingTable((("a", "b"),) * 4096))


def duty_of(view: RingView, node: str, held: dict[int, int]) -> Duty:
    return Duty(view, node, held, on_news=lambda: None)


def info_in(partition: int, *, size_bytes: int = 10) -> ObjectInfo:
    keys = (f"{number:016d}/file" for number in count())
    key = next(key for key in keys if partition_of(key) == partition)
    return ObjectInfo(key=key, size_bytes=size_bytes, sha256=bytes(32), stored_at_ms=1)


def test_a_duty_is_complete_when_every_next_owner_has_confirmed_every_partition(moving):
    duty = duty_of(moving, "a", {1: 3, 2: 4})
    assert duty.lacking("b") == duty.lacking("c") == {1, 2}
    for partition, destination in ((1, "b"), (1, "c"), (2, "b")):
        duty.confirm(partition, destination)
    assert duty.is_settled(1)
    assert not duty.is_settled(2)
    assert not duty.complete.is_set()
    duty.confirm(2, "c")
    assert duty.complete.is_set()
    assert duty.files == 7


def test_a_node_that_holds_nothing_owes_nothing(moving):
    duty = duty_of(moving, "a", {})
    assert duty.complete.is_set()
    assert duty.destinations() == ("b", "c")


def test_nothing_is_owed_to_oneself(moving):
    duty = duty_of(moving, "b", {1: 1})
    assert duty.destinations() == ("c",)
    duty.confirm(1, "c")
    assert duty.complete.is_set()


def test_a_destination_is_asked_again_only_about_what_it_owns(at_rest):
    duty = duty_of(at_rest, "a", {1: 1})
    duty.confirm(1, "b")
    duty.reopen("b", [1, 2])
    duty.reopen("c", [1, 2])
    assert duty.lacking("b") == {1, 2}
    assert not duty.lacking("c")
    assert duty.complete.is_set()


def test_somebody_who_waits_for_a_partition_at_rest_has_it_compared_once_more(at_rest):
    duty = duty_of(at_rest, "a", {1: 1})
    duty.confirm(1, "b")
    duty.hurry(1)
    assert duty.hurried == {1}
    assert not duty.is_settled(1)


def test_during_a_change_what_is_confirmed_stays_confirmed(moving):
    duty = duty_of(moving, "b", {1: 1})
    duty.confirm(1, "c")
    duty.hurry(1)
    assert duty.is_settled(1)


def test_progress_tells_what_was_moved_what_is_left_and_what_is_waited_for(moving):
    duty = duty_of(moving, "a", {1: 2, 2: 1})
    duty.found_lacking(1, "c", Amount(files=2, size_bytes=20))
    duty.moved(info_in(1), "c")
    duty.confirm(2, "b")
    duty.confirm(2, "c")
    duty.obstruct("c", "c is full.")
    duty.obstruct("b", "")
    told = duty.progress()
    assert (told.epoch, told.partitions, told.partitions_done) == (7, 2, 1)
    assert (told.files_moved, told.bytes_moved) == (1, 10)
    assert (told.files_left, told.bytes_left) == (1, 10)
    assert told.waiting_for == "c is full."
    duty.confirm(1, "c")
    assert duty.progress().files_left == 0


def test_what_was_moved_before_at_the_same_epoch_is_counted_on(moving):
    duty = Duty(moving, "a", {1: 2}, moved=Amount(files=3, size_bytes=30), on_news=lambda: None)
    duty.moved(info_in(1), "c")
    told = duty.progress()
    assert (told.files_moved, told.bytes_moved) == (4, 40)


def test_a_lacking_copy_is_told_of_by_one_of_its_owners_only(moving):
    reports = [duty_of(moving, node, {1: 1}) for node in ("a", "b")]
    for duty in reports:
        duty.found_lacking(1, "c", Amount(files=1, size_bytes=10))
    assert [duty.progress().files_left for duty in reports] == [1, 0]
    stranger = duty_of(moving, "d", {1: 1})
    stranger.found_lacking(1, "c", Amount(files=1, size_bytes=10))
    assert stranger.progress().files_left == 1
