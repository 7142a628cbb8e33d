"""What must hold at every moment, whatever goes wrong.

I1  Every acknowledged file has a copy.
I2  Unless a loss is being repaired, it has W copies (as many as there are owners, if they are fewer), on
    nodes that are neither dead nor removed: so with any one of them down it can be read (I3).
I4  Unless a loss is being repaired, an owner in `cur` or `next` has it.
I5  No read of it ends "not found", however old the reader's ring.
I6  When faults stop, the ring becomes STABLE, with each file on exactly its owners.
I7  What is read is what was written, and no node's epoch ever decreases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.shared.ring.placement import partition_of
from services.shared.ring.state import AT_WORK
from tests.simulation.clients import content_of

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.world import World


class ViolationError(AssertionError):
    """The protocol has broken a promise."""


class Invariants:
    """Looks at the whole world, as nobody in it can."""

    def __init__(self, world: World) -> None:
        self._world = world

    def ring_changed(self) -> None:
        """Another epoch is in force."""
        for key in self._world.acknowledged:
            self._check(key)

    def disk_lost(self) -> None:
        """All copies on a disk are gone."""
        self.ring_changed()

    def copy_gone(self, key: str) -> None:
        """A node has removed its copy."""
        if key in self._world.acknowledged:
            self._check(key)

    def acknowledged(self, key: str) -> None:
        """A writer has been told that its file is stored."""
        self._check(key)

    def epoch_adopted(self, node: Node) -> None:
        """A node goes by an epoch now."""
        if node.fence.epoch < node.disk.epoch:
            self._fail(f"I7: {node.name} went back from epoch {node.disk.epoch} to {node.fence.epoch}")
        node.disk.epoch = node.fence.epoch

    def read(self, key: str, content: str) -> None:
        """A reader got something."""
        if content != content_of(key):
            self._fail(f"I7: {key} was read with other content")

    def read_in_vain(self, key: str, *, by: str, epoch: int) -> None:
        """A reader was told that an acknowledged file does not exist."""
        self._fail(f"I5: {by}, at epoch {epoch}, was told that {key} does not exist")

    def unsettled(self) -> str:
        """What is not as it should be once all faults are over (I6); empty: nothing."""
        view = self._world.etcd.view
        if view.migrating:
            return f"the ring is still migrating at epoch {view.epoch}"
        for node in self._world.nodes.values():
            for key in node.disk.files:
                owners = set(view.owners(partition_of(key)))
                if (holders := self._world.holders(key)) != owners:
                    return f"{key} is on {sorted(holders)}, its owners are {sorted(owners)}"
        return ""

    def _check(self, key: str) -> None:
        state, view = self._world.etcd.state, self._world.etcd.view
        holders = self._world.holders(key)
        if not holders:
            self._fail(f"I1: {key} is lost")
        if self._world.losses():
            return
        entries = [(name, state.nodes.get(name)) for name in holders]
        counted = [name for name, entry in entries if entry and entry.state in AT_WORK]
        if len(counted) < min(state.write_quorum, view.cur.replicas):
            self._fail(f"I2: {key} is only on {sorted(counted)}, and on retired {sorted(holders)}")
        partition = partition_of(key)
        if not holders.intersection(view.owners(partition) + view.next_owners(partition)):
            self._fail(f"I4: {key} is only on {sorted(holders)}, none of them an owner")

    def _fail(self, what: str) -> None:
        self._world.note(what)
        raise ViolationError(what)
