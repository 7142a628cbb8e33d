"""A node's data folder, opened for one process."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.shared.folders import explained
from services.storage.disk.disk import OBJECTS, Disk
from services.storage.disk.durable import sync_folder
from services.storage.disk.guard import DiskGuard
from services.storage.disk.index import Index, is_refusal, why_unwritable
from services.storage.disk.space import Space
from services.storage.disk.store import Store
from services.storage.fence import Fence
from services.storage.identity import Identity, claimed

log = logging.getLogger(__name__)

_INDEX: Final = "index.sqlite"
_RUNNING: Final = "running"


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFolder:
    """What the rest of the node works with."""

    root: Path
    identity: Identity
    store: Store
    space: Space
    guard: DiskGuard

    @property
    def why_read_only(self) -> str:
        """Why the node takes no writes now; empty while it does."""
        return self.guard.read_only_reason or self.store.fence.closed_reason


@contextmanager
def opened(root: Path, *, reserve_fraction: float, capacity_bytes: int | None) -> Iterator[DataFolder]:
    """Open the data folder, made if it is missing; the store is incomplete where the last stop was unclean.

    A mark in the folder lives from here to a clean end. If it is found at the start, nobody knows how far the
    index got, and every partition has to be reconciled.

    Raises:
        ConflictError: another process has it, its identity is damaged, or nothing can be written there.
    """
    with claimed(root):
        identity, guard = Identity(root), DiskGuard()
        mark = root / _RUNNING
        unclean = mark.exists() or ((root / OBJECTS).exists() and not (root / _INDEX).exists())
        with explained(root):
            mark.touch()
            sync_folder(root)
        index, rebuilt = _open_index(root / _INDEX, guard)
        with index:
            space = Space(
                root,
                reserve_fraction=reserve_fraction,
                capacity_bytes=capacity_bytes,
                stored_bytes=lambda: index.totals.size_bytes,
            )
            disk = Disk(root, space=space, guard=guard)
            store = Store(
                disk=disk, index=index, fence=Fence(), guard=guard, complete=not (unclean or rebuilt)
            )
            yield DataFolder(root=root, identity=identity, store=store, space=space, guard=guard)
        if store.complete and not guard.read_only_reason:
            mark.unlink()
            sync_folder(root)


def _open_index(path: Path, guard: DiskGuard) -> tuple[Index, bool]:
    """Open the index; one that can't be used is begun anew (True).

    One that is damaged is set aside. One that the disk has no room to write to is left as it is: what can be
    read is served meanwhile, and what is removed makes room.
    """
    try:
        return Index(path), False
    except sqlite3.DatabaseError as error:
        if is_refusal(error):
            return _makeshift(error, guard), True
        log.error("the index is damaged (%s): building it again from the objects", error)  # noqa: TRY400 - expected
    _set_aside(path)
    try:
        return Index(path), True
    except sqlite3.DatabaseError as error:
        return _makeshift(error, guard), True


def _makeshift(error: sqlite3.DatabaseError, guard: DiskGuard) -> Index:
    """An index in memory, for as long as this process lives: some hundred bytes for each file."""
    guard.stop_writing(why_unwritable(error))
    return Index(None)


def _set_aside(path: Path) -> None:
    path.replace(path.with_suffix(".damaged"))
    for companion in ("-wal", "-shm"):
        path.with_name(path.name + companion).unlink(missing_ok=True)
