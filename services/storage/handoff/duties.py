"""What a node owes the others at an epoch: the rules by which files change hands. Pure.

- Hand-over: whoever holds a file, owner or not, sees to it that its owners hold it, too.
- Sync: a node reports so once every owner has confirmed, at this epoch, every file that it holds.
- Delete: a copy that belongs to others goes when all of them have confirmed a sound one, and not at once.
- Empty: a removed node may stop when it knows that it is removed and holds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.shared.ring.state import AT_WORK, NodeState
from services.shared.ring.view import RingView


def at_work(view: RingView, node: str) -> bool:
    """Whether the node takes writes and reports sync: it is neither dead, nor removed, nor unknown."""
    entry = view.entry(node)
    return entry is not None and entry.state in AT_WORK


def owns(view: RingView, node: str, partition: int) -> bool:
    """Whether the node is an owner now, or will be after the change in progress."""
    return node in view.owners(partition) or node in view.next_owners(partition)


def destinations(view: RingView, node: str, partition: int) -> tuple[str, ...]:
    """Who must confirm this node's files of a partition: the other owners that the ring is heading for.

    One that is away is waited for until it returns or is declared dead, which makes a new plan without it.
    """
    owners = view.next_owners(partition) if view.migrating else view.owners(partition)
    return tuple(owner for owner in owners if owner != node)


class Ledger:
    """What of one epoch's duty is done: which owners have confirmed which partitions.

    Args:
        view: the ring at that epoch.
        node: whose duty it is.
        held: partitions that the node held files of after it had adopted the epoch, all of them. What comes
            later was written or handed over under this epoch's own rules, so nothing is owed for it.
    """

    def __init__(self, view: RingView, node: str, held: Iterable[int]) -> None:
        self._epoch = view.epoch
        self._lacking = {
            (partition, destination)
            for partition in held
            for destination in destinations(view, node, partition)
        }

    @property
    def epoch(self) -> int:
        """Whose duty this is."""
        return self._epoch

    @property
    def lacking(self) -> frozenset[tuple[int, str]]:
        """The (partition, destination) that are not confirmed yet."""
        return frozenset(self._lacking)

    @property
    def complete(self) -> bool:
        """Whether the node may report sync for this epoch."""
        return not self._lacking

    def confirm(self, partition: int, destination: str, *, epoch: int) -> None:
        """Note that a destination holds all that this node holds of a partition.

        Args:
            partition: which.
            destination: who answered.
            epoch: that the answer carried. One of another epoch proves nothing and is passed over.
        """
        if epoch == self._epoch:
            self._lacking.discard((partition, destination))


def may_drop(
    view: RingView,
    node: str,
    partition: int,
    *,
    confirmations: Mapping[str, int],
    surplus_for_s: float,
    grace_s: float,
) -> bool:
    """Whether the node may remove its copy of a file. The removal itself must happen under the view's epoch.

    Args:
        view: the ring.
        node: who holds the copy.
        partition: of the file.
        confirmations: owners that have read their copy and found it whole, with the epoch they said so at.
        surplus_for_s: how long the copy has belonged to others.
        grace_s: how long such a copy is kept at least, for readers who know the ring as it was.
    """
    if view.migrating or owns(view, node, partition) or surplus_for_s < grace_s:
        return False
    return all(confirmations.get(owner) == view.epoch for owner in view.owners(partition))


def may_stop(view: RingView, node: str, *, files: int) -> bool:
    """Whether a node that is leaving may be switched off for good.

    Args:
        view: the ring as the node itself knows it.
        node: the one that leaves.
        files: how many it holds.
    """
    entry = view.entry(node)
    return entry is not None and entry.state is NodeState.REMOVED and files == 0
