"""Finding and ending processes by the mark that the launcher puts into their environment.

A child can leave processes behind: ffmpeg under a killed worker, Erlang's port mapper under RabbitMQ. They
may have changed their process group and lost their parent, but never their environment, so that is where a
child of a stack and all its descendants are told from everything else on the machine.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Final

MARK: Final = "TRITONTUBE_LAUNCHED_BY"
"""Environment variable `<stack folder>//<child>`: `//` cannot occur in a resolved path."""

_PROC: Final = Path("/proc")
_POLL_S: Final = 0.05


def mark(stack: Path, child: str = "") -> str:
    """The mark of one child; without `child`, what the marks of all children of the stack begin with."""
    return f"{stack.resolve()}//{child}"


def is_running(pid: int) -> bool:
    """Whether a thread of the process lives: it holds its files and ports until the last one has ended.

    A zombie that nobody has reaped yet does not count.
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return False
    fields = stat.rpartition(")")[2].split()  # from the third on, as proc_pid_stat(5) counts
    state, threads = fields[0], int(fields[17])
    return state not in {"Z", "X"} or threads > 1


def marked(prefix: str) -> list[int]:
    """The running processes whose mark begins with `prefix` (our own process excepted)."""
    wanted = f"{MARK}={prefix}".encode()
    return [pid for pid in _pids() if pid != os.getpid() and _carries(pid, wanted) and is_running(pid)]


async def end_marked(prefix: str, *, timeout_s: float) -> list[int]:
    """Kill what carries the mark and wait until it is gone.

    Returns:
        The processes that were still there after `timeout_s` (stuck in the kernel, say).
    """
    end = monotonic() + timeout_s
    left: set[int] = set()
    # A process loses its environment, and the mark with it, a while before it lets go of its files.
    while (left := {*marked(prefix), *filter(is_running, left)}) and monotonic() < end:
        for pid in left:
            kill(pid, signal.SIGKILL)
        await asyncio.sleep(_POLL_S)
    return sorted(left)


def kill(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _carries(pid: int, wanted: bytes) -> bool:
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:  # gone meanwhile, or another user's
        return False
    return any(entry.startswith(wanted) for entry in environment.split(b"\0"))
