"""Objects as files in a node's data folder.

::

    objects/<3 hex>/<2 hex>/<64 hex>   one file per object, named by the SHA-256 of its key; the first three
                                       digits are its partition on the ring
    tmp/                               objects on their way in; emptied at start
    quarantine/                        damaged copies: see `Quarantine`

An object arrives in `tmp/` as a `Stage`, is made durable there, and appears under its name by a hard link:
that fails if the name is taken, so nothing is ever overwritten, while a rename would replace in silence. A
folder is synced after each change of its entries.

Everything here blocks; callers run it on threads. Changes to one key must not run at the same time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from services.shared.errors import CorruptFileError, NotFoundError
from services.storage.disk.damage import enduring, is_damage
from services.storage.disk.durable import sync_folder
from services.storage.disk.guard import DiskGuard
from services.storage.disk.objectfile import ObjectFile
from services.storage.disk.quarantine import Quarantine
from services.storage.disk.space import Space
from services.storage.disk.stage import Stage

OBJECTS: Final = "objects"
_NAME: Final = re.compile("[0-9a-f]{64}")
_PARTITION_DIGITS: Final = 3
_LEAF_DIGITS: Final = 5


def object_name(key: str) -> str:
    """The name of a key's file: 64 hex digits, whatever the key contains."""
    return hashlib.sha256(key.encode()).hexdigest()


class Disk:
    """The objects of one data folder, which exists already and is this process's alone."""

    def __init__(self, root: Path, *, space: Space, guard: DiskGuard) -> None:
        self._objects = root / OBJECTS
        self._incoming = root / "tmp"
        self._quarantine = Quarantine(root / "quarantine", guard=guard)
        self._space = space
        self._guard = guard
        self._durable_partitions = bytearray(16**_PARTITION_DIGITS)
        self._durable_leaves = bytearray(16**_LEAF_DIGITS)
        for folder in (self._objects, self._incoming):
            folder.mkdir(exist_ok=True)
        sync_folder(root)
        for left_over in self._incoming.iterdir():
            with enduring(left_over):
                left_over.unlink()

    def stage(self, size_bytes: int = 0) -> Stage:
        """Begin an incoming object of `size_bytes`, if that is known.

        Raises:
            OutOfSpaceError: it would not fit.
            UnavailableError: the disk takes no writes.
        """
        self._guard.check_writable()
        self._space.check(size_bytes)
        return Stage(self._incoming / secrets.token_hex(8), space=self._space, guard=self._guard)

    def publish(self, stage: Stage, key: str) -> bool:
        """Give a sealed object its name, durably. False: the name was taken, and is durable now.

        Raises:
            OutOfSpaceError: the disk is full.
            UnavailableError: it failed; a restart finds out whether the object is there.
        """
        self._guard.check_writable()
        path = self._path(object_name(key))
        with self._guard.changing():
            path.parent.mkdir(parents=True, exist_ok=True)
            created = stage.link_to(path)
        self._sync_path(path)
        return created

    def open(self, key: str) -> ObjectFile:
        """Open a key's object.

        Raises:
            NotFoundError: there is none.
            CorruptFileError: its trailer is damaged, or it is another key's.
        """
        return self.open_name(object_name(key))

    def open_name(self, name: str) -> ObjectFile:
        """Open an object by the name of its file. Raises as `open` does."""
        try:
            found = ObjectFile.open(self._path(name))
        except FileNotFoundError:
            raise NotFoundError("This node has no copy of the file.") from None
        if object_name(found.info.key) != name:
            found.close()
            raise CorruptFileError(f"The object file {name} holds another key.")
        return found

    def remove(self, key: str) -> bool:
        """Remove a key's object, durably; a damaged one at least from service. False: there was none.

        Raises:
            UnavailableError: the disk failed.
        """
        path = self._path(object_name(key))
        with self._guard.changing():
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            except OSError as error:
                if not is_damage(error):
                    raise
                self._quarantine.take(path)
                return True
        with self._guard.syncing():
            sync_folder(path.parent)
        return True

    def quarantine(self, name: str) -> None:
        """Take a damaged object out of service; one that is gone already, or can't even be moved, is fine.

        Raises:
            UnavailableError: the disk failed.
        """
        self._quarantine.take(self._path(name))

    def keep(self, name: str) -> None:
        """Make sure that an object found on the disk outlives a power cut.

        Raises:
            UnavailableError: the disk failed.
        """
        self._sync_path(self._path(name))

    def names(self, partition: int) -> Iterator[str]:
        """The names of all objects of a partition, in no order, but for those in folders that are damaged."""
        for leaf in _listed(self._objects / f"{partition:03x}"):
            yield from (file.name for file in _listed(leaf) if _NAME.fullmatch(file.name))

    def _path(self, name: str) -> Path:
        return self._objects / name[:_PARTITION_DIGITS] / name[_PARTITION_DIGITS:_LEAF_DIGITS] / name

    def _sync_path(self, path: Path) -> None:
        """Sync the folder of an object, and the folders above unless this process did so before.

        They are not skipped because they existed: another thread may have made them and not synced them yet.
        """
        partition, leaf = int(path.name[:_PARTITION_DIGITS], 16), int(path.name[:_LEAF_DIGITS], 16)
        with self._guard.syncing():
            sync_folder(path.parent)
            if not self._durable_leaves[leaf]:
                sync_folder(path.parent.parent)
                self._durable_leaves[leaf] = 1
            if not self._durable_partitions[partition]:
                sync_folder(self._objects)
                self._durable_partitions[partition] = 1


def _listed(folder: Path) -> list[Path]:
    """What is in a folder; nothing in one that is missing, or can't be read."""
    with suppress(FileNotFoundError), enduring(folder):
        return list(folder.iterdir())
    return []
