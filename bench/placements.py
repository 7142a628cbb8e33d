"""Two ways to say which nodes hold which part of the data: our ring table, and consistent hashing. Pure.

Both divide the same ring of 2^64. Shares are exact lengths of it, not counts of sample files: what is
compared are the divisions themselves.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

from services.shared.ring.builder import RingNode, build
from services.shared.ring.placement import PARTITIONS
from services.shared.ring.table import RingTable

COPIES: Final = 3
_RING: Final = 2**64

Weights = Mapping[str, int]
"""Of the nodes, by name."""


class Placement(Protocol):
    """Where everything is. Amounts are in units of all files together, one copy of each."""

    def shares(self) -> Mapping[str, float]:
        """What each node holds."""

    def changed(self, weights: Weights) -> Placement:
        """The placement after nodes came or went."""

    def moved(self, after: Self) -> float:
        """What has to be copied to nodes that did not have it."""


def ideal_shares(weights: Weights) -> Mapping[str, float]:
    """What each node would hold if all could be cut at will: by weight, but no node more than one copy."""
    full: set[str] = set()
    while True:
        level = (COPIES - len(full)) / sum(weight for name, weight in weights.items() if name not in full)
        over = {name for name, weight in weights.items() if name not in full and weight * level > 1}
        if not over:
            return {name: 1.0 if name in full else weight * level for name, weight in weights.items()}
        full |= over


@dataclass(frozen=True)
class Table:
    """The ring table: 4096 rows, built from the one before."""

    table: RingTable

    @classmethod
    def of(cls, weights: Weights, previous: RingTable | None = None) -> Self:
        """The table for these nodes."""
        nodes = [RingNode(id=name, weight=weight) for name, weight in weights.items()]
        return cls(build(nodes, COPIES, previous))

    def shares(self) -> Mapping[str, float]:
        """What each node holds."""
        return {node: count / PARTITIONS for node, count in self.table.counts.items()}

    def changed(self, weights: Weights) -> Self:
        """The table after nodes came or went."""
        return self.of(weights, self.table)

    def moved(self, after: Self) -> float:
        """What has to be copied to nodes that did not have it."""
        rows = zip(self.table.rows, after.table.rows, strict=True)
        return sum(len(set(new).difference(old)) for old, new in rows) / PARTITIONS


@dataclass(frozen=True)
class Tokens:
    """Consistent hashing: each node at some random places, a file at the next nodes from its place on."""

    places: Sequence[int]
    names: Sequence[str]
    """Who is there."""
    per_weight: int
    """Places of a node of weight 1."""

    @classmethod
    def of(cls, weights: Weights, *, per_weight: int) -> Self:
        """The ring of these nodes."""
        tokens = sorted(
            (_place(f"{name}/{number}"), name)
            for name, weight in weights.items()
            for number in range(weight * per_weight)
        )
        return cls([place for place, _ in tokens], [name for _, name in tokens], per_weight)

    def owners(self, place: int) -> frozenset[str]:
        """The nodes of what lies at a place."""
        at, found = bisect_left(self.places, place), set[str]()
        for step in range(len(self.names)):
            found.add(self.names[(at + step) % len(self.names)])
            if len(found) == COPIES:
                break
        return frozenset(found)

    def shares(self) -> Mapping[str, float]:
        """What each node holds."""
        shares: Counter[str] = Counter()
        for place, length in _arcs(self.places):
            for name in self.owners(place):
                shares[name] += length
        return {name: length / _RING for name, length in shares.items()}

    def changed(self, weights: Weights) -> Self:
        """The ring after nodes came or went."""
        return self.of(weights, per_weight=self.per_weight)

    def moved(self, after: Self) -> float:
        """What has to be copied to nodes that did not have it."""
        places = sorted({*self.places, *after.places})
        pairs = ((length, after.owners(place) - self.owners(place)) for place, length in _arcs(places))
        return sum(length * len(new) for length, new in pairs) / _RING


def _arcs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Where the arcs between places end, and how long they are."""
    return [(place, (place - places[number - 1]) % _RING) for number, place in enumerate(places)]


def _place(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
