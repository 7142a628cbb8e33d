"""Processes seen from outside, by /proc."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path


def children(name: str, parent: int | None = None) -> list[int]:
    """Ids of the processes called `name` whose parent is `parent` (this process, unless told)."""
    return children_of({os.getpid() if parent is None else parent}, {name})


def children_of(parents: Collection[int], names: Collection[str]) -> list[int]:
    """Ids of the processes called one of `names` whose parent is one of `parents`, in one look at all."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (status := _status(folder)):
            name, parent = status
            if parent in parents and name in names:
                found.append(int(folder.name))
    return found


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    return state(pid) not in {"", "Z"}


def state(pid: int) -> str:
    """A process's state, as `ps` shows it: R, S, T (stopped), Z (zombie), ...; empty: there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _status(folder: Path) -> tuple[str, int] | None:
    """Name and parent."""
    try:
        head, _, tail = (folder / "stat").read_text().rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return head.partition("(")[2], int(tail.split()[1])
