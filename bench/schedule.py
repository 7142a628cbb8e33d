"""How long workers take for jobs that they take from one queue, in its order. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heapreplace


def makespan_s(jobs_s: Iterable[float], *, workers: int) -> float:
    """When the last job ends, each taken by whoever is free first.

    Args:
        jobs_s: how long each job occupies a worker, in the order of the queue.
        workers: how many there are.
    """
    free_at_s = [0.0] * workers
    heapify(free_at_s)
    for job_s in jobs_s:
        heapreplace(free_at_s, free_at_s[0] + job_s)
    return max(free_at_s)
