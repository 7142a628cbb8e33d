"""The protocol with one rule, or a part of it, taken out: each loses files, which the simulation must show.

A mutant patches the function that carries the rule in production. `seed` is one whose run shows the damage;
found by trying, and bound to the order of the dice: a change of the simulation may need new ones
(`python -m tests.simulation --mutants` finds them).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from services.admin.membership import changes
from services.shared.content.search import Search, _Pass
from services.shared.errors import NotFoundError
from services.shared.ring import view as ring_view
from services.shared.ring.state import AT_WORK, NodeState
from services.shared.ring.view import RingView
from services.storage.fence import Fence
from services.storage.handoff import duties
from services.storage.handoff.duties import Ledger
from tests.simulation.etcd import Etcd

Patch = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A protocol without a rule."""

    rule: str
    without: str
    patch: Patch
    seed: int

    def __str__(self) -> str:
        return f"{self.rule}: {self.without}"


# ---- fence ----


def _fence_takes_old_epochs() -> AbstractContextManager[Any]:
    real = Fence.check

    def check(self: Fence, *, epoch: int, **others: Any) -> None:
        real(self, epoch=max(epoch, self.epoch), **others)

    return patch.object(Fence, "check", check)


def _fence_looks_only_at_the_start() -> AbstractContextManager[Any]:
    @contextmanager
    def commit(self: Fence, **_: Any) -> Iterator[None]:
        self._commits += 1
        try:
            yield
        finally:
            self._commits -= 1

    return patch.object(Fence, "commit", commit)


def _adoption_does_not_wait() -> AbstractContextManager[Any]:
    def adopt(self: Fence, epoch: int) -> None:
        self.epoch = max(self.epoch, epoch)

    return patch.object(Fence, "adopt", adopt)


# ---- write ----


def _ack_without(sets: slice) -> AbstractContextManager[Any]:
    def acknowledged(self: RingView, key: str, acks: Collection[str]) -> bool:
        chosen = tuple(self.write_sets(key))[sets]
        return bool(acks) and all(self._enough(owners, acks) for owners in chosen if owners)

    return patch.object(RingView, "acknowledged", acknowledged)


def _one_copy_is_enough() -> AbstractContextManager[Any]:
    return patch.object(RingView, "_enough", lambda _, owners, acks: bool(set(owners) & set(acks)))


def _stand_ins_are_enough() -> AbstractContextManager[Any]:
    def enough(self: RingView, owners: Collection[str], acks: Collection[str]) -> bool:
        return len(acks) >= min(self.state.write_quorum, len(owners))

    return patch.object(RingView, "_enough", enough)


def _leaving_nodes_stand_in() -> AbstractContextManager[Any]:
    return patch.object(ring_view, "PLACEABLE", AT_WORK)


# ---- read ----


def _only_one_owner_is_asked() -> AbstractContextManager[Any]:
    def read_order(self: RingView, key: str) -> tuple[str, ...]:
        return self.write_sets(key).targets[:1]

    return patch.object(RingView, "read_order", read_order)


def _no_answer_means_no() -> AbstractContextManager[Any]:
    real = _Pass.run

    async def run(self: _Pass[Any]) -> Any:
        try:
            return await real(self)
        except Exception:  # noqa: BLE001 - whatever it was
            return None

    return patch.object(_Pass, "run", run)


def _the_ring_is_not_read_again() -> AbstractContextManager[Any]:
    async def attempt(self: Search[Any]) -> Any:
        found = await _Pass(self._ask, self._discard, self._ring.view.read_order(self._key)).run()
        if found is None:
            raise NotFoundError("not found")
        return found

    return patch.object(Search, "_try", attempt)


# ---- sync ----


def _sync_without_confirmations() -> AbstractContextManager[Any]:
    return patch.object(Ledger, "complete", True)


def _only_owners_hand_over() -> AbstractContextManager[Any]:
    real = duties.destinations

    def destinations(view: RingView, node: str, partition: int) -> tuple[str, ...]:
        return real(view, node, partition) if duties.owns(view, node, partition) else ()

    return patch.object(duties, "destinations", destinations)


def _files_are_owed_to_current_owners() -> AbstractContextManager[Any]:
    def destinations(view: RingView, node: str, partition: int) -> tuple[str, ...]:
        return tuple(owner for owner in view.owners(partition) if owner != node)

    return patch.object(duties, "destinations", destinations)


def _one_confirmation_is_enough() -> AbstractContextManager[Any]:
    real = duties.destinations
    return patch.object(duties, "destinations", lambda *place: real(*place)[:1])


# ---- commit ----


def _commit_without(missing: Collection[NodeState]) -> AbstractContextManager[Any]:
    def required(state: Any) -> frozenset[str]:
        return frozenset(
            node
            for node, entry in state.nodes.items()
            if entry.state in AT_WORK and entry.state not in missing
        )

    return patch.object(changes, "required_syncs", required)


def _old_reports_count() -> AbstractContextManager[Any]:
    def reports(self: Etcd, epoch: int) -> Collection[str]:
        return {node for at, node in self.synced if at <= epoch}

    return patch.object(Etcd, "reports", reports)


# ---- delete ----


def _drop_when(rule: Callable[..., bool]) -> AbstractContextManager[Any]:
    def may_drop(view: RingView, node: str, partition: int, **facts: Any) -> bool:
        return rule(view, node, partition, **facts)

    return patch.object(duties, "may_drop", may_drop)


def _unconfirmed(view: RingView, node: str, partition: int, **_: Any) -> bool:
    return not view.migrating and not duties.owns(view, node, partition)


def _once_confirmed(view: RingView, node: str, partition: int, *, confirmations: Any, **_: Any) -> bool:
    return _unconfirmed(view, node, partition) and any(confirmations)


# ---- empty ----


def _stop_while_draining() -> AbstractContextManager[Any]:
    def may_stop(view: RingView, node: str, **_: Any) -> bool:
        entry = view.entry(node)
        return entry is not None and entry.state is NodeState.DRAINING

    return patch.object(duties, "may_stop", may_stop)


# ---- one change at a time ----


def _no_transactions() -> AbstractContextManager[Any]:
    return patch.object(Etcd, "compare", False)


@contextmanager
def _the_running_change_counts_as_done() -> Iterator[None]:
    real = changes._migration

    def migration(view: RingView, change: Any, entries: Any, **others: Any) -> changes.Decision:
        if view.next is not None:
            done = view.state.model_copy(update={"cur": view.state.next})
            view = RingView(state=done, tables=view.tables, live=view.live)
        return real(view, change, entries, **others)

    with patch.object(changes, "_migration", migration), patch.object(changes, "_check_stable"):
        yield


MUTANTS = (
    Mutant(rule="fence", without="refusing old epochs", patch=_fence_takes_old_epochs, seed=4),
    Mutant(
        rule="fence",
        without="looking at the moment of the commit",
        patch=_fence_looks_only_at_the_start,
        seed=109,
    ),
    Mutant(rule="fence", without="waiting for older commits to end", patch=_adoption_does_not_wait, seed=18),
    Mutant(rule="write", without="next owners", patch=lambda: _ack_without(slice(0, 1)), seed=14),
    Mutant(rule="write", without="current owners", patch=lambda: _ack_without(slice(1, 2)), seed=2),
    Mutant(rule="write", without="W copies", patch=_one_copy_is_enough, seed=0),
    Mutant(rule="write", without="a real owner", patch=_stand_ins_are_enough, seed=4),
    Mutant(rule="write", without="leaving out who leaves", patch=_leaving_nodes_stand_in, seed=4),
    Mutant(rule="read", without="asking everybody", patch=_only_one_owner_is_asked, seed=2),
    Mutant(rule="read", without="distinguishing silence from no", patch=_no_answer_means_no, seed=0),
    Mutant(rule="read", without="reading the ring again", patch=_the_ring_is_not_read_again, seed=31),
    Mutant(rule="sync", without="confirmations", patch=_sync_without_confirmations, seed=2),
    Mutant(rule="sync", without="what is held without owning it", patch=_only_owners_hand_over, seed=13),
    Mutant(rule="sync", without="next owners", patch=_files_are_owed_to_current_owners, seed=0),
    Mutant(rule="sync", without="all but one owner", patch=_one_confirmation_is_enough, seed=5),
    Mutant(
        rule="commit",
        without="those who leave",
        patch=lambda: _commit_without({NodeState.DRAINING}),
        seed=18,
    ),
    Mutant(
        rule="commit", without="those who stay", patch=lambda: _commit_without({NodeState.ACTIVE}), seed=0
    ),
    Mutant(rule="commit", without="voiding old reports", patch=_old_reports_count, seed=0),
    Mutant(rule="delete", without="any confirmation", patch=lambda: _drop_when(_unconfirmed), seed=72),
    Mutant(
        rule="delete",
        without="confirmation of all owners",
        patch=lambda: _drop_when(_once_confirmed),
        seed=72,
    ),
    Mutant(
        rule="empty",
        without="waiting to be removed and empty",
        patch=_stop_while_draining,
        seed=0,
    ),
    Mutant(rule="one change at a time", without="comparing epochs", patch=_no_transactions, seed=9),
    Mutant(
        rule="one change at a time",
        without="waiting for the first to end",
        patch=_the_running_change_counts_as_done,
        seed=0,
    ),
)
