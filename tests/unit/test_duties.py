"""What a node owes the others, on small rings where the right answer is plain."""

from __future__ import annotations

import pytest

from services.shared.ring.placement import PARTITIONS
from services.shared.ring.state import NodeEntry, NodeState, Phase, RingState
from services.shared.ring.table import RingTable
from services.shared.ring.view import RingView
from services.storage.handoff.duties import Ledger, at_work, destinations, may_drop, may_stop, owns

EPOCH = 7
NAMES = "abcde"


def ring(cur: str, next_: str = "", **states: NodeState) -> RingView:
    tables = [RingTable((tuple(row),) * PARTITIONS) for row in (cur, next_) if row]
    state = RingState(
        cluster_id="c",
        epoch=EPOCH,
        phase=Phase.MIGRATING if next_ else Phase.STABLE,
        cur=tables[0].id,
        next=tables[1].id if next_ else None,
        replicas=2,
        write_quorum=2,
        nodes={
            name: NodeEntry(address="a:1", disk_id="d", state=states.get(name, NodeState.ACTIVE))
            for name in NAMES
        },
    )
    return RingView(state=state, tables={table.id: table for table in tables})


def test_while_stable_files_are_owed_to_the_other_owners():
    assert destinations(ring("ab"), "a", 0) == ("b",)
    assert destinations(ring("ab"), "c", 0) == ("a", "b")


def test_while_migrating_files_are_owed_to_those_who_will_own_them():
    assert destinations(ring("ab", "bc"), "a", 0) == ("b", "c")
    assert destinations(ring("ab", "bc"), "c", 0) == ("b",)


def test_an_owner_is_one_of_either_table():
    view = ring("ab", "bc")
    assert [name for name in NAMES if owns(view, name, 0)] == ["a", "b", "c"]
    assert not owns(ring("ab"), "c", 0)


@pytest.mark.parametrize("state", NodeState)
def test_dead_removed_and_unknown_nodes_are_out_of_work(state):
    working = state not in {NodeState.DEAD, NodeState.REMOVED}
    assert at_work(ring("ab", c=state), "c") is working
    assert not at_work(ring("ab"), "stranger")


# ---- sync ----


def test_sync_is_due_when_every_owner_of_every_partition_held_has_confirmed():
    ledger = Ledger(ring("ab", "bc"), "a", [3, 4])
    assert (ledger.epoch, ledger.complete) == (EPOCH, False)
    for partition, destination in [(3, "b"), (3, "c"), (4, "b")]:
        ledger.confirm(partition, destination, epoch=EPOCH)
    assert ledger.lacking == {(4, "c")}
    ledger.confirm(4, "c", epoch=EPOCH)
    assert ledger.complete


def test_an_answer_of_another_epoch_confirms_nothing():
    ledger = Ledger(ring("ab"), "a", [3])
    for epoch in (EPOCH - 1, EPOCH + 1):
        ledger.confirm(3, "b", epoch=epoch)
    assert not ledger.complete


def test_answers_of_nodes_that_are_owed_nothing_are_passed_over():
    ledger = Ledger(ring("ab"), "a", [3])
    ledger.confirm(3, "e", epoch=EPOCH)
    ledger.confirm(9, "b", epoch=EPOCH)
    assert ledger.lacking == {(3, "b")}


def test_who_holds_nothing_owes_nothing():
    assert Ledger(ring("ab", "bc"), "c", []).complete


# ---- delete ----


def drop(view: RingView, node: str = "c", *, surplus_for_s: float = 600.0, **confirmed: int) -> bool:
    return may_drop(view, node, 0, confirmations=confirmed, surplus_for_s=surplus_for_s, grace_s=600.0)


def test_a_surplus_copy_goes_when_all_owners_confirmed_theirs_and_the_grace_is_over():
    assert drop(ring("ab"), a=EPOCH, b=EPOCH)


def test_a_surplus_copy_stays_until_the_grace_is_over():
    assert not drop(ring("ab"), surplus_for_s=599.0, a=EPOCH, b=EPOCH)


def test_a_surplus_copy_stays_while_an_owner_has_not_confirmed():
    assert not drop(ring("ab"), a=EPOCH)
    assert not drop(ring("ab"), a=EPOCH, b=EPOCH - 1)
    assert not drop(ring("ab"), a=EPOCH, e=EPOCH)


def test_owners_never_drop_their_copy():
    assert not drop(ring("ab"), "a", a=EPOCH, b=EPOCH)


def test_nothing_is_dropped_while_files_move():
    assert not drop(ring("ab", "bd"), a=EPOCH, b=EPOCH, d=EPOCH)


# ---- empty ----


def test_a_node_may_stop_when_it_knows_that_it_is_removed_and_holds_nothing():
    assert may_stop(ring("ab", c=NodeState.REMOVED), "c", files=0)
    assert not may_stop(ring("ab", c=NodeState.REMOVED), "c", files=1)
    assert not may_stop(ring("ab", "ad", c=NodeState.DRAINING), "c", files=0)
    assert not may_stop(ring("ab"), "stranger", files=0)
