"""Resident memory of other processes, as the kernel counts it."""

from __future__ import annotations

import re
from pathlib import Path


def resident_mb(pid: int | None) -> float:
    """What a process holds now."""
    return _megabytes(pid, "VmRSS")


def peak_mb(pid: int | None) -> float:
    """The most it ever held, or held since `forget_peak`."""
    return _megabytes(pid, "VmHWM")


def forget_peak(pid: int | None) -> None:
    """Make what it holds now the most it ever held."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def _megabytes(pid: int | None, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None, f"process {pid} has no {field}"
    return int(found[1]) * 1024 / 1e6
