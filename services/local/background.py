"""A stack in the background: started detached from the terminal, stopped by whoever comes later."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from services.local import logs, processes
from services.local.endpoints import Endpoints, file_in
from services.local.status import launcher_of, read_status, running_already
from services.shared.errors import UnavailableError
from services.shared.folders import make_usable

_POLL_S: Final = 0.1
_READY_TIMEOUT_S: Final = 300.0
_STOP_TIMEOUT_S: Final = 120.0
_KILL_TIMEOUT_S: Final = 20.0
_TAIL_LINES: Final = 20


def start(data: Path, arguments: Sequence[str]) -> Endpoints:
    """Start `tritontube` again, detached, with these arguments less `--background`; wait until it is ready.

    Raises:
        ConflictError: nothing can be written to the folder, or a stack runs on it.
        UnavailableError: it ended, or is not ready in time (then it is stopped); the message has its words.
    """
    folder = data.resolve()
    make_usable(folder)
    if launcher_of(folder) is not None:  # before its log is emptied for another launcher
        raise running_already(folder)
    log = folder / "logs" / "launcher.log"
    launcher = _detached([word for word in arguments if word != "--background"], log)
    try:
        over = _wait(lambda: _is_ready(folder, launcher.pid) or launcher.poll() is not None, _READY_TIMEOUT_S)
    except KeyboardInterrupt:
        launcher.terminate()
        launcher.wait()
        raise
    if over and launcher.poll() is None:
        return Endpoints.model_validate_json(file_in(folder).read_bytes())
    launcher.terminate()
    launcher.wait()
    raise UnavailableError(f"The stack did not start; {log} says:\n{logs.tail(log, lines=_TAIL_LINES)}")


def stop(data: Path) -> bool:
    """Stop the stack that runs on a folder: cleanly, or after two minutes by force.

    Returns:
        Whether one was running.
    """
    folder = data.resolve()
    launcher = launcher_of(folder)
    if launcher is None:
        return False
    processes.kill(launcher, signal.SIGTERM)
    if not _wait(lambda: launcher_of(folder) != launcher, _STOP_TIMEOUT_S):
        processes.kill(launcher, signal.SIGKILL)
        asyncio.run(processes.end_marked(processes.mark(folder), timeout_s=_KILL_TIMEOUT_S))
    return True


def _detached(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with logs.open_log(log) as output:
        output.truncate(0)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "services.local", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ,
        )


def _is_ready(folder: Path, launcher: int) -> bool:
    found = read_status(folder)
    return found is not None and found.ready and found.launcher == launcher


def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    end = monotonic() + timeout_s
    while not condition():
        if monotonic() > end:
            return False
        sleep(_POLL_S)
    return True
