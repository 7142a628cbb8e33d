"""A node's data folder, opened for one process."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.storage.disk.disk import OBJECTS, Disk
from services.storage.disk.durable import sync_folder
from services.storage.disk.guard import DiskGuard
from services.storage.disk.index import Index
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
        ConflictError: another process has it, or its identity is damaged.
    """
    with claimed(root):
        identity, guard = Identity(root), DiskGuard()
        mark = root / _RUNNING
        unclean = mark.exists() or ((root / OBJECTS).exists() and not (root / _INDEX).exists())
        mark.touch()
        sync_folder(root)
        index, rebuilt = _open_index(root / _INDEX)
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


def _open_index(path: Path) -> tuple[Index, bool]:
    """Open the index; one that can't be read is set aside and begun anew (True)."""
    try:
        return Index(path), False
    except sqlite3.DatabaseError as error:
        log.error("the index is damaged (%s): building it again from the objects", error)  # noqa: TRY400 - expected
    path.replace(path.with_suffix(".damaged"))
    for companion in ("-wal", "-shm"):
        path.with_name(path.name + companion).unlink(missing_ok=True)
    return Index(path), True
