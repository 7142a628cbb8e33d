"""What a node has to hand over at one epoch, and how far it is with that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from services.shared.ring.placement import partition_of
from services.shared.ring.progress import Progress
from services.shared.ring.view import RingView
from services.storage.disk.objectfile import ObjectInfo
from services.storage.handoff.duties import Ledger, destinations


class Amount(NamedTuple):
    """Of files."""

    files: int = 0
    size_bytes: int = 0


_NOTHING: Final = Amount()


class Duty:
    """The partitions of which each destination has yet to confirm that it holds all that this node holds.

    Args:
        view: the ring at the epoch.
        node: whose duty it is.
        held: how many files the node holds of each partition, after it had adopted the epoch.
        moved: what the node has handed over at this epoch before: its process was started anew since.
        on_news: called whenever something here has changed; must not block.
    """

    def __init__(
        self,
        view: RingView,
        node: str,
        held: Mapping[int, int],
        *,
        moved: Amount = _NOTHING,
        on_news: Callable[[], None],
    ) -> None:
        self.view = view
        self.hurried: set[int] = set()
        """Partitions that somebody waits for."""
        self.complete = asyncio.Event()
        """Set once everything has been confirmed that was there when the epoch began."""
        self._node = node
        self._held = frozenset(held)
        self._files = sum(held.values())
        self._on_news = on_news
        self._ledger = Ledger(view, node, held)
        self._lacking: dict[str, set[int]] = {}
        for partition, destination in self._ledger.lacking:
            self._lacking.setdefault(destination, set()).add(partition)
        self._left: dict[tuple[int, str], Amount] = {}
        self._moved = moved
        self._obstacles: dict[str, str] = {}
        self._judge()

    @property
    def epoch(self) -> int:
        """At which confirmations count."""
        return self.view.epoch

    @property
    def files(self) -> int:
        """That were held when the epoch began."""
        return self._files

    def destinations(self) -> tuple[str, ...]:
        """Whoever may have to be given anything."""
        table = self.view.next or self.view.cur
        return tuple(node for node in table.nodes if node != self._node)

    def lacking(self, destination: str) -> frozenset[int]:
        """The partitions that a destination has not confirmed."""
        return frozenset(self._lacking.get(destination, ()))

    def is_settled(self, partition: int) -> bool:
        """Whether all destinations have confirmed a partition."""
        return not any(partition in lacking for lacking in self._lacking.values())

    # ---- what is done ----

    def confirm(self, partition: int, destination: str) -> None:
        """A destination said, at this epoch, that it holds all that this node holds of a partition."""
        self._ledger.confirm(partition, destination, epoch=self.epoch)
        self._lacking.get(destination, set()).discard(partition)
        self._left.pop((partition, destination), None)
        if self.is_settled(partition):
            self.hurried.discard(partition)
        self._judge()

    def reopen(self, destination: str, partitions: Iterable[int]) -> None:
        """Have a destination confirm these partitions once more, as far as it owns them."""
        due = {partition for partition in partitions if destination in self._owners(partition)}
        self._lacking.setdefault(destination, set()).update(due)

    def hurry(self, partition: int) -> None:
        """See to a partition before the others; while the ring is STABLE, also if it was confirmed before."""
        if not self.view.migrating:
            for destination in self._owners(partition):
                self.reopen(destination, [partition])
        if not self.is_settled(partition):
            self.hurried.add(partition)

    # ---- what there is to tell ----

    def moved(self, info: ObjectInfo, destination: str) -> None:
        """A destination got a file."""
        self._moved = Amount(self._moved.files + 1, self._moved.size_bytes + info.size_bytes)
        place = (partition_of(info.key), destination)
        left = self._left.get(place, Amount())
        self._left[place] = Amount(max(0, left.files - 1), max(0, left.size_bytes - info.size_bytes))
        self._on_news()

    def found_lacking(self, partition: int, destination: str, amount: Amount) -> None:
        """Note how much of a partition a destination lacks.

        Every owner knows, and the reports of all are added up: so only the first of those that could hand it
        over reports it, and whoever holds it without being an owner.
        """
        up = [node for node in self.view.owners(partition) if node in self.view.up and node != destination]
        if self._node not in up[1:]:
            self._left[partition, destination] = amount
            self._on_news()

    def obstruct(self, destination: str, sentence: str) -> None:
        """Note why a destination can't be given anything now; empty once that is over."""
        self._obstacles[destination] = sentence
        self._on_news()

    def progress(self) -> Progress:
        """The state of things, for display."""
        lacking = set().union(*self._lacking.values())
        return Progress(
            epoch=self.epoch,
            partitions=len(self._held),
            partitions_done=len(self._held - lacking),
            files_moved=self._moved.files,
            bytes_moved=self._moved.size_bytes,
            files_left=sum(amount.files for amount in self._left.values()),
            bytes_left=sum(amount.size_bytes for amount in self._left.values()),
            waiting_for=" ".join(sentence for _, sentence in sorted(self._obstacles.items()) if sentence),
            at_ms=time.time_ns() // 1_000_000,
        )

    def _owners(self, partition: int) -> tuple[str, ...]:
        return destinations(self.view, self._node, partition)

    def _judge(self) -> None:
        if self._ledger.complete:
            self.complete.set()
        self._on_news()
