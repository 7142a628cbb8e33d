"""Damaged copies, kept for whoever wants to look into a failing disk; never served, and never many."""

from __future__ import annotations

import logging
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.storage.disk.damage import enduring
from services.storage.disk.durable import sync_folder
from services.storage.disk.guard import DiskGuard

log = logging.getLogger(__name__)

_MAX_FILES: Final = 1000
_MAX_BYTES: Final = 1 << 30


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class _Exhibit:
    """A damaged copy in the folder."""

    taken_ns: int
    size_bytes: int
    path: Path


class Quarantine:
    """A folder on the same disk, made if it is missing. The oldest copies go when there are too many.

    Calls block. Those for one object must not run at the same time.
    """

    def __init__(
        self, folder: Path, *, guard: DiskGuard, max_files: int = _MAX_FILES, max_bytes: int = _MAX_BYTES
    ) -> None:
        self._folder = folder
        self._guard = guard
        self._max_files = max_files
        self._max_bytes = max_bytes
        folder.mkdir(exist_ok=True)

    def take(self, path: Path) -> None:
        """Move an object's file here, durably; one that is gone already, or can't even be moved, is fine.

        Raises:
            UnavailableError: the disk failed.
        """
        if not self._moved(path):
            return
        log.error("object %s is damaged: moved to %s", path.name, self._folder)
        with self._guard.syncing():
            sync_folder(self._folder)
            sync_folder(path.parent)
        with self._guard.changing():
            self._prune()

    def _moved(self, path: Path) -> bool:
        with self._guard.changing(), suppress(FileNotFoundError), enduring(path):
            path.rename(self._folder / f"{path.name}.{time.time_ns()}")
            return True
        return False

    def _prune(self) -> None:
        """Remove the oldest until the rest fits."""
        files = size_bytes = 0
        for exhibit in sorted(self._exhibits(), reverse=True):
            files, size_bytes = files + 1, size_bytes + exhibit.size_bytes
            if files > self._max_files or (files > 1 and size_bytes > self._max_bytes):
                _remove(exhibit.path)

    def _exhibits(self) -> list[_Exhibit]:
        """What is here, without files that somebody else put here."""
        named = ((path, path.suffix.removeprefix(".")) for path in self._folder.iterdir())
        return [
            _Exhibit(taken_ns=int(taken), size_bytes=path.stat().st_size, path=path)
            for path, taken in named
            if taken.isdecimal()
        ]


def _remove(path: Path) -> None:
    """Remove what lay in the place of an object, were it a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
