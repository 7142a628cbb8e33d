"""What processes have cost so far, as the kernel counts it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class _Usage(NamedTuple):
    parent: int
    cpu_s: float
    ended_cpu_s: float


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time, user and system, of running processes and their running descendants."""
    usages = {int(path.name): _usage(path) for path in Path("/proc").glob("[0-9]*")}
    children = defaultdict(list)
    for pid, usage in usages.items():
        children[usage.parent].append(pid)
    waiting, found = list(pids), set[int]()
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting += children[pid]
    return sum(usages[pid].cpu_s for pid in found if pid in usages)


def own_cpu_s(pid: int) -> float:
    """Processor time of a process without its children."""
    return _usage(Path(f"/proc/{pid}")).cpu_s


def ended_cpu_s(pid: int) -> float:
    """Processor time of a process's children that have ended, and of theirs."""
    return _usage(Path(f"/proc/{pid}")).ended_cpu_s


def _usage(process: Path) -> _Usage:
    try:
        # What comes before the last bracket is the program's name, which may contain anything.
        fields = (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return _Usage(parent=0, cpu_s=0.0, ended_cpu_s=0.0)
    user, system, ended_user, ended_system = (int(field) / _TICKS_PER_S for field in fields[11:15])
    return _Usage(parent=int(fields[1]), cpu_s=user + system, ended_cpu_s=ended_user + ended_system)
