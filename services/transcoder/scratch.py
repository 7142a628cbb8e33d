"""A worker's folder for scratch files: bounded in size, and never left behind.

A worker that is killed cannot tidy up after itself. Its folder holds a lock file that dies with it, so
the next worker that starts on the machine, whatever its name, sees which folders are nobody's now, and
removes them.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from services.shared.errors import ConflictError, OutOfSpaceError
from services.shared.telemetry import Gauge

log = logging.getLogger(__name__)

_LOCK: Final = "lock"
_FREE: Final = Gauge("tritontube_scratch_free_bytes", "Room on the disk of the scratch folder, as last seen.")


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """The folder of one worker."""

    folder: Path
    reserve_bytes: int
    """Room that is left alone, for whoever else uses the disk."""

    @property
    def room_bytes(self) -> int:
        """What it could hold if nobody else used the disk."""
        return max(0, shutil.disk_usage(self.folder).total - self.reserve_bytes)

    def check_room(self, size_bytes: int) -> None:
        """Make sure that a file of `size_bytes` fits, before anything is begun.

        Raises:
            OutOfSpaceError: it would not leave the reserve.
        """
        free_bytes = shutil.disk_usage(self.folder).free
        _FREE.set(free_bytes)
        if free_bytes < size_bytes + self.reserve_bytes:
            raise OutOfSpaceError(
                f"The scratch folder {self.folder} has {free_bytes >> 20} MiB free; this would take up to "
                f"{size_bytes >> 20} MiB, and {self.reserve_bytes >> 20} MiB are to stay free."
            )


@contextmanager
def scratch(work_dir: Path, instance: str, *, reserve_bytes: int) -> Iterator[Scratch]:
    """A worker's own empty folder below `work_dir`, for as long as the context lasts.

    Raises:
        ConflictError: another worker of that name runs here, or the folder holds what is not a worker's.
        OutOfSpaceError: no folder can be made there.
    """
    folder = work_dir / instance
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _occupy(folder)
        for other in work_dir.iterdir():
            _remove_if_abandoned(other)
    except OSError as error:
        raise OutOfSpaceError(f"The scratch folder {folder} cannot be made: {error.strerror}.") from error
    try:
        with lock:
            yield _checked(Scratch(folder=folder, reserve_bytes=reserve_bytes))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _checked(made: Scratch) -> Scratch:
    try:
        made.check_room(0)
    except OutOfSpaceError as error:
        log.warning("%s Jobs that need room are left to other workers.", error)
    return made


def _occupy(folder: Path) -> IO[bytes]:
    """Lock a folder and empty it; the lock holds while the file is open."""
    lock_file = folder / _LOCK
    if not lock_file.exists() and any(folder.iterdir()):
        raise ConflictError(f"{folder} holds files, and not a worker's: use another TRITONTUBE_WORK_DIR.")
    lock = lock_file.open("ab")
    if not (_locked(lock) and lock_file.exists() and lock_file.samefile(f"/dev/fd/{lock.fileno()}")):
        lock.close()
        raise ConflictError(f"Another worker runs in {folder}: give each a name of its own, with --instance.")
    for left in folder.iterdir():
        if left != lock_file:
            _remove(left)
    return lock


def _remove_if_abandoned(folder: Path) -> None:
    """Remove a folder of a worker that is gone; locked, so that no other one begins there meanwhile."""
    try:
        with (folder / _LOCK).open("rb") as lock:
            if _locked(lock):
                log.info("removing what a worker left behind in %s", folder)
                shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # not a worker's
        return


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
