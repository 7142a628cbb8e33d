"""When a process counts as ended, and how one is ended that can't be recognized any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.local import processes
from tests.harness.waiting import eventually

# Its main thread ends, as that of a killed process may do long before the others; they wait for ever.
_ENDS_ITS_MAIN_THREAD = """
import ctypes, signal, threading
threading.Thread(target=signal.sigwait, args=[{signal.SIGUSR1}]).start()
print("started", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""

# Overwrites its environment at the first SIGTERM, and ends at the second.
_LOSES_ITS_ENVIRONMENT = """
import signal, sys
def forget(*_):
    begin, end = map(int, open("/proc/self/stat").read().rpartition(")")[2].split()[47:49])
    with open("/proc/self/mem", "r+b") as memory:
        memory.seek(begin)
        memory.write(bytes(end - begin))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGTERM, forget)
print("started", flush=True)
while True:
    signal.pause()
"""


@contextmanager
def running(script: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that carries the folder's mark."""
    mark = {processes.MARK: processes.mark(folder, "child")}
    command, env = [sys.executable, "-c", script], {**os.environ, **mark}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"started\n"
            yield process
        finally:
            process.kill()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_a_process_runs_until_its_last_thread_has_ended(tmp_path: Path):
    with running(_ENDS_ITS_MAIN_THREAD, tmp_path) as process:
        await eventually(lambda: _state(process.pid) == "Z", what="its main thread has ended")
        assert processes.is_running(process.pid)
        process.kill()
        await eventually(lambda: not processes.is_running(process.pid), what="all of it has ended")
        assert _state(process.pid) == "Z", "nobody has reaped it yet"


async def test_what_is_being_ended_is_waited_for_also_when_its_mark_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A killed process loses its environment at once, and its files and ports a while later.

    It is too quick for a test; one that takes SIGTERM for an answer loses it just so.
    """
    monkeypatch.setattr(processes, "kill", lambda pid, _: os.kill(pid, signal.SIGTERM))
    with running(_LOSES_ITS_ENVIRONMENT, tmp_path) as process:
        assert await processes.end_marked(processes.mark(tmp_path), timeout_s=30.0) == []
        assert not processes.is_running(process.pid)
        assert process.wait() == -signal.SIGTERM


async def test_what_does_not_end_in_time_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "kill", lambda _pid, _number: None)
    with running(_LOSES_ITS_ENVIRONMENT, tmp_path) as process:
        assert await processes.end_marked(processes.mark(tmp_path), timeout_s=0.2) == [process.pid]
