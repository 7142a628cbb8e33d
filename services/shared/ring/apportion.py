"""How many slots of the ring table each node should hold: whole numbers, by weight, within what zones allow.

A table of R copies has 4096 * R slots. Each row spreads over the zones as evenly as their sizes permit, so a
zone of `s` nodes gets between `min(s, q)` and `min(s, q + 1)` slots of every row, for a `q` that follows from
R and the sizes. Within these bounds zones share by weight, then nodes within their zone (at most one slot of
a row each). Fractions are settled by largest remainder; a tie goes to who holds more already, so that nothing
moves for it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from services.shared.ring.placement import PARTITIONS


@dataclass(frozen=True, kw_only=True)
class RingNode:
    """A node as the builder sees it: `weight` is its share of the data relative to the others."""

    id: str
    zone: str = "default"
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a claimant may get: at least `low`, at most `high`, else in proportion to `weight` (> 0)."""

    weight: Fraction
    low: int
    high: int
    held: int
    """What it has now: settles ties."""

    def at(self, level: Fraction) -> Fraction:
        """Its exact share when one unit of weight is worth `level`."""
        return min(max(level * self.weight, Fraction(self.low)), Fraction(self.high))


def apportion(total: int, claims: Mapping[str, Claim]) -> dict[str, int]:
    """Divide `total` among the claimants, each as near to its weight's share as its bounds allow.

    Raises:
        ValueError: the bounds make the total impossible.
    """
    if not sum(c.low for c in claims.values()) <= total <= sum(c.high for c in claims.values()):
        raise ValueError(f"{total} slots cannot be divided within the bounds")
    level = _level(total, claims)
    exact = {name: claim.at(level) for name, claim in claims.items()}
    shares = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(claims, key=lambda name: (shares[name] - exact[name], -claims[name].held, name))
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def _level(total: int, claims: Mapping[str, Claim]) -> Fraction:
    """The worth of a unit of weight at which the shares add up to `total`.

    The sum is a monotone function of it, and linear between the points where some claimant meets a bound.
    """

    def filled(level: Fraction) -> Fraction:
        return sum((claim.at(level) for claim in claims.values()), Fraction(0))

    bounds = {Fraction(bound) / c.weight for c in claims.values() for bound in (c.low, c.high)}
    points = sorted(bounds | {Fraction(0)})
    upper = bisect_left(points, Fraction(total), key=filled)
    if upper == 0 or filled(points[upper]) == total:
        return points[upper]
    low, high = points[upper - 1], points[upper]
    return low + (total - filled(low)) * (high - low) / (filled(high) - filled(low))


def zone_targets(nodes: Iterable[RingNode], *, replicas: int, held: Mapping[str, int]) -> dict[str, int]:
    """Slots per zone, for rows of `replicas` owners (at most as many as there are nodes)."""
    zones = _by_zone(nodes)
    sizes = {zone: len(members) for zone, members in zones.items()}
    even = _even_level(sizes.values(), replicas)
    claims = {
        zone: Claim(
            weight=sum((Fraction(node.weight) for node in members), Fraction(0)),
            low=PARTITIONS * min(sizes[zone], even),
            high=PARTITIONS * min(sizes[zone], even + 1),
            held=sum(held.get(node.id, 0) for node in members),
        )
        for zone, members in zones.items()
    }
    return apportion(PARTITIONS * replicas, claims)


def node_targets(
    nodes: Iterable[RingNode], *, zone_slots: Mapping[str, int], held: Mapping[str, int]
) -> dict[str, int]:
    """Slots per node, given the slots of each zone."""
    targets: dict[str, int] = {}
    for zone, members in _by_zone(nodes).items():
        claims = {
            node.id: Claim(weight=Fraction(node.weight), low=0, high=PARTITIONS, held=held.get(node.id, 0))
            for node in members
        }
        targets |= apportion(zone_slots[zone], claims)
    return targets


def _by_zone(nodes: Iterable[RingNode]) -> dict[str, list[RingNode]]:
    ordered = sorted(nodes, key=lambda node: (node.zone, node.id))
    return {zone: list(members) for zone, members in groupby(ordered, key=lambda node: node.zone)}


def _even_level(sizes: Iterable[int], replicas: int) -> int:
    """The most owners that every zone (or all of its nodes, where it has fewer) can have in each row."""
    sizes = list(sizes)
    level = 0
    while level < replicas and sum(min(size, level + 1) for size in sizes) <= replicas:
        level += 1
    return level
