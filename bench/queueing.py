"""A closed network of queues: workers that think for a while, then pass some stations, again and again.

Its exact solution is mean value analysis (Reiser and Lavenberg, 1980): who arrives at a station finds there
what one customer fewer would have left on average. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The network in equilibrium."""

    rounds_per_s: float
    """Of all customers together."""
    busy: Mapping[str, float]
    """By station, the share of time in which it serves somebody."""
    waiting_s: float
    """Time of a round spent at stations, being served included."""


def flow(demands_s: Mapping[str, float], *, think_s: float, customers: int) -> Flow:
    """Solve a network.

    Args:
        demands_s: by station, how long it is occupied by one round of one customer.
        think_s: how long a customer stays away from all stations in each round.
        customers: how many go round; at least one.
    """
    queued = dict.fromkeys(demands_s, 0.0)
    rounds_per_s = waiting_s = 0.0
    for present in range(1, customers + 1):
        stays_s = {name: demand_s * (1 + queued[name]) for name, demand_s in demands_s.items()}
        waiting_s = sum(stays_s.values())
        rounds_per_s = present / (think_s + waiting_s)
        queued = {name: rounds_per_s * stay_s for name, stay_s in stays_s.items()}
    busy = {name: rounds_per_s * demand_s for name, demand_s in demands_s.items()}
    return Flow(rounds_per_s=rounds_per_s, busy=busy, waiting_s=waiting_s)


def knee(demands_s: Mapping[str, float], *, think_s: float) -> float:
    """Customers from which on more of them bring next to nothing: the asymptotes of `flow` meet there."""
    return (think_s + sum(demands_s.values())) / max(demands_s.values())
