"""How evenly the ring spreads, and how little a change moves, against consistent hashing: arithmetic only."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from bench.measure import Metric, Row, Trial, alternate, compare
from bench.placements import Placement, Table, Tokens, Weights, ideal_shares

_SMALLEST: Final = 3
_LARGEST: Final = 100
_QUICK_LARGEST: Final = 20
_SHOWN: Final = (3, 4, 5, 10, 20, 50, 100)
_LOOKED_AT: Final = frozenset({*range(_SMALLEST, _QUICK_LARGEST + 1), *range(30, _LARGEST + 1, 10)})
"""Numbers of nodes at which a ring is measured; it grows and shrinks through all of them."""
_WEIGHTS: Final[Mapping[str, Sequence[int]]] = {"equal weights": (1,), "weights 1, 2, 3": (1, 2, 3)}

_YARDSTICK: Final = "256 virtual nodes"
_FIRST: Final[Mapping[str, Callable[[Weights], Placement]]] = {
    _YARDSTICK: partial(Tokens.of, per_weight=256),
    "1 virtual node": partial(Tokens.of, per_weight=1),
    "ring table": Table.of,
}
_WORST: Final = Metric(name="fullest node, at worst", unit="of its share", digits=3)
_ADDED: Final = Metric(name="moved by an addition, at worst", unit="of the minimum", digits=3)
_DRAINED: Final = Metric(name="moved by a drain, at worst", unit="of the minimum", digits=3)


def run(_: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Grow a ring node by node and drain it again, with equal and with mixed weights."""
    largest = _QUICK_LARGEST if quick else _LARGEST
    shown = [_fullest_at(size) for size in _SHOWN if size <= largest]
    for kind, weights in _WEIGHTS.items():
        variants = {
            # Each sees the same nodes in the same round.
            name: partial(_trial, first, random.Random(kind), weights, largest)
            for name, first in _FIRST.items()
        }
        measured = alternate(variants, rounds=rounds)
        metrics = (*shown, _WORST, _ADDED, _DRAINED)
        yield from compare(f"{kind}, 3 to {largest} nodes", measured, metrics, yardstick=_YARDSTICK)


@dataclass
class _History:
    """A placement from its first nodes on, and the worst that was seen."""

    placement: Placement
    weights: Weights
    fullest: dict[int, float] = field(default_factory=dict)
    """By the number of nodes."""
    added: list[float] = field(default_factory=list)
    drained: list[float] = field(default_factory=list)

    def change(self, weights: Weights) -> None:
        """Take nodes in, or let them go."""
        after = self.placement.changed(weights)
        if len(weights) in _LOOKED_AT:
            ratio = self.placement.moved(after) / _minimum(self.weights, weights)
            (self.added if len(weights) > len(self.weights) else self.drained).append(ratio)
        self.placement, self.weights = after, weights
        self.look()

    def look(self) -> None:
        """Note how full the fullest node is."""
        if len(self.weights) not in _LOOKED_AT:
            return
        shares, ideal = self.placement.shares(), ideal_shares(self.weights)
        worst = max(share / ideal[name] for name, share in shares.items())
        self.fullest[len(self.weights)] = max(worst, self.fullest.get(len(self.weights), 0.0))


def _trial(
    first: Callable[[Weights], Placement], generator: random.Random, weights: Sequence[int], largest: int
) -> Trial:
    names = [f"{generator.getrandbits(64):016x}" for _ in range(largest)]
    nodes = dict(zip(names, cycle(weights), strict=False))
    start = dict(islice(nodes.items(), _SMALLEST))
    history = _History(first(start), start)
    history.look()
    for size in range(_SMALLEST + 1, largest + 1):
        history.change(dict(islice(nodes.items(), size)))
    while len(nodes) > _SMALLEST:
        del nodes[generator.choice(list(nodes))]
        history.change(dict(nodes))
    return {
        **{_fullest_at(size).name: ratio for size, ratio in history.fullest.items()},
        _WORST.name: max(history.fullest.values()),
        _ADDED.name: max(history.added),
        _DRAINED.name: max(history.drained),
    }


def _minimum(before: Weights, after: Weights) -> float:
    """What has to move at least: what nodes should hold more of than before."""
    old, new = ideal_shares(before), ideal_shares(after)
    return sum(max(0.0, share - old.get(name, 0.0)) for name, share in new.items())


def _fullest_at(size: int) -> Metric:
    return Metric(name=f"fullest of {size} nodes", unit="of its share", digits=3)
