"""What a running stack says about itself in its folder, and how others read it.

The launcher holds a lock of the kernel's on `launcher.lock` for as long as it lives, so whether a stack runs
is never guessed from a file that a killed launcher left behind.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Final, Self, TextIO

from pydantic import BaseModel, ConfigDict

from services.local.child import Child, State
from services.local.files import replace_text
from services.shared.errors import ConflictError

_LOCK: Final = "launcher.lock"
_FILE: Final = "status.json"
_LOCK_TRIES: Final = 10
_LOCK_PAUSE_S: Final = 0.05


class ChildStatus(BaseModel):
    """One child, as `tritontube status` shows it."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: State
    pid: int | None
    restarts: int
    since: float
    """When it came into this state, seconds since 1970."""
    address: str

    @classmethod
    def of(cls, child: Child) -> Self:
        """The child as it is now."""
        return cls(
            name=child.program.name,
            state=child.state,
            pid=child.pid if child.state in {State.STARTING, State.READY} else None,
            restarts=child.restarts,
            since=child.since,
            address=child.program.address,
        )


class Status(BaseModel):
    """A stack as its launcher last saw it."""

    model_config = ConfigDict(frozen=True)

    launcher: int
    ready: bool
    children: tuple[ChildStatus, ...]

    def write(self, folder: Path) -> None:
        """Replace the file in the stack's folder."""
        replace_text(folder / _FILE, self.model_dump_json(indent=2) + "\n")


def read_status(folder: Path) -> Status | None:
    """The status of the stack that runs on this folder; None if none does (or it has only just begun)."""
    if launcher_of(folder) is None:
        return None
    try:
        return Status.model_validate_json((folder / _FILE).read_bytes())
    except FileNotFoundError:
        return None


def launcher_of(folder: Path) -> int | None:
    """The process id of the launcher that lives on this folder; None if none does."""
    file = folder / _LOCK
    if not file.exists():
        return None
    with file.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read() or 0) or None
    return None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this launcher, and forget what an earlier one wrote into it.

    Raises:
        ConflictError: another launcher holds it.
    """
    with (folder / _LOCK).open("a") as lock:
        if not _try_lock(lock):
            raise running_already(folder)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        (folder / _FILE).unlink(missing_ok=True)
        yield


def running_already(folder: Path) -> ConflictError:
    """The error to raise where a stack is to be started on a folder that one runs on."""
    return ConflictError(
        f"A stack is already running on {folder}. `tritontube status --data {folder}` shows it, "
        f"`tritontube down --data {folder}` stops it; another --data starts a second one."
    )


def _try_lock(lock: TextIO) -> bool:
    for _ in range(_LOCK_TRIES):  # `launcher_of` in another process may hold it for a moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sleep(_LOCK_PAUSE_S)
        else:
            return True
    return False
