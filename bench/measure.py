"""Measuring: variants in turn, several rounds, and how each compares with the yardstick in its own round.

The machine changes speed while one measures (other jobs, clock rates, a disk's own housekeeping), so two
things are compared only within a round, where they ran one right after the other. What is reported is the
median of those ratios and their range; no round is dropped.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

Trial = Mapping[str, float]
"""What one run of one variant measured, by the names of metrics."""

Rounds = Mapping[str, Sequence[Trial]]
"""The trials of each variant, one per round."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A quantity. `digits` after the point are worth printing."""

    name: str
    unit: str
    digits: int = 2
    logarithmic: bool = False
    """Two values are compared by their difference instead of their ratio."""

    def compared(self, value: float, yardstick: float) -> float:
        """Ratio to the yardstick, or difference from it."""
        return value - yardstick if self.logarithmic else value / yardstick


CPU: Final = Metric(name="CPU", unit="s")
"""Processor time, user and system, of a run and all the processes it started."""

WALL: Final = Metric(name="wall", unit="s")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One metric of one variant in all rounds."""

    subject: str
    """What was worked on."""
    metric: Metric
    variant: str
    values: tuple[float, ...]
    against: tuple[float, ...]
    """Each compared with the yardstick's value in the same round; empty for the yardstick itself."""


def alternate(variants: Mapping[str, Callable[[], Trial]], *, rounds: int) -> Rounds:
    """Run all variants one after the other, and that `rounds` times."""
    trials: dict[str, list[Trial]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            trials[name].append(run())
    return trials


def compare(subject: str, measured: Rounds, metrics: Iterable[Metric], *, yardstick: str) -> list[Row]:
    """The rows of a table: for each metric all variants beside the yardstick."""
    return [
        Row(
            subject=subject,
            metric=metric,
            variant=variant,
            values=_values(trials, metric),
            against=() if variant == yardstick else _against(trials, measured[yardstick], metric),
        )
        for metric in metrics
        for variant, trials in measured.items()
        if _values(trials, metric)
    ]


def _values(trials: Sequence[Trial], metric: Metric) -> tuple[float, ...]:
    return tuple(trial[metric.name] for trial in trials if metric.name in trial)


def _against(trials: Sequence[Trial], others: Sequence[Trial], metric: Metric) -> tuple[float, ...]:
    pairs = [
        (trial.get(metric.name), other.get(metric.name)) for trial, other in zip(trials, others, strict=True)
    ]
    return tuple(metric.compared(mine, base) for mine, base in pairs if mine is not None and base is not None)


def timed(action: Callable[[], object]) -> Trial:
    """Processor and wall time of an action, the child processes included that have ended by then."""
    cpu_s, began = _cpu_s(), perf_counter()
    action()
    return {CPU.name: _cpu_s() - cpu_s, WALL.name: perf_counter() - began}


def _cpu_s() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
