"""What a node holds: the disk and its index, kept in step.

Every change happens under a lock of its key and, where a file is added or dropped for the ring, inside the
fence. The order is always disk first, then index, then the answer. Everything here blocks; callers run it on
threads, and a change once begun runs to its end even if nobody waits for it any more.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from services.shared.catalog.keys import graves
from services.shared.errors import ConflictError, CorruptFileError, NotFoundError, UnavailableError
from services.shared.ring.placement import parse_key
from services.storage.disk.disk import Disk, object_name
from services.storage.disk.guard import DiskGuard
from services.storage.disk.index import Index, why_unwritable
from services.storage.disk.objectfile import ObjectFile, ObjectInfo
from services.storage.disk.stage import Stage
from services.storage.fence import Fence

log = logging.getLogger(__name__)

_LOCKS: Final = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The outcome of a write."""

    info: ObjectInfo
    created: bool
    """False: the same content had been stored before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Purge:
    """What came of removing a page of objects."""

    removed: int
    after: str
    """Key of the last one, where the next page begins; empty where there was none."""
    problem: str
    """Why one of them could not be removed; empty if all were."""


class Store:
    """The objects of one node.

    `complete` says that the index names every object on the disk. After an unclean stop it does not, until
    `reconcile` went through all partitions; reading and writing single objects works meanwhile.

    `on_loss` is told the key of each copy that turned out to be damaged or gone, on the thread that
    found out. It must not block.
    """

    def __init__(self, *, disk: Disk, index: Index, fence: Fence, guard: DiskGuard, complete: bool) -> None:
        self._disk = disk
        self._guard = guard
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))
        self.fence = fence
        self.index = index
        self.complete = complete
        self.on_loss: Callable[[str], None] = lambda _: None

    def stage(self, size_bytes: int = 0) -> Stage:
        """Begin an incoming object of `size_bytes`, if that is known.

        Raises:
            OutOfSpaceError: it would not fit.
            UnavailableError: this node takes no writes.
        """
        return self._disk.stage(size_bytes)

    def publish(self, stage: Stage, *, key: str, epoch: int) -> Published:
        """Make a staged object durable under its key, and visible.

        Raises:
            ConflictError: the key holds other content, or its video has been deleted.
            StaleRingError: `epoch` is older than the node's.
            OutOfSpaceError: the disk is full.
            UnavailableError: the node takes no writes, or its disk failed.
        """
        self._guard.check_writable()
        info = stage.seal(key=key, stored_at_ms=time.time_ns() // 1_000_000)
        with self._lock(object_name(key)), self.fence.commit(epoch=epoch, graves=graves(*parse_key(key))):
            created = self._disk.publish(stage, key) or self._replaces_damaged(stage, key)
            info = info if created else self._same_content(info)
            with self._indexing():
                self.index.add(info)
        return Published(info=info, created=created)

    def open(self, key: str) -> ObjectFile:
        """Open an object for reading.

        Raises:
            NotFoundError: this node has no sound copy.
        """
        try:
            return self.examine(key)
        except CorruptFileError:
            raise NotFoundError("This node has no sound copy of the file.") from None

    def examine(self, key: str) -> ObjectFile:
        """Open an object, and tell one that has been lost from one that never was here.

        Raises:
            NotFoundError: this node has no copy.
            CorruptFileError: its file can't be opened, or is gone from the disk; it counts as absent now.
        """
        try:
            return self._disk.open(key)
        except NotFoundError:
            if self.index.get(key) and self._lost(key):
                raise CorruptFileError(f"The object file of {key} is gone from the disk.") from None
            raise
        except CorruptFileError:
            self.set_aside(key)
            raise

    def set_aside(self, key: str, damaged: ObjectFile | None = None) -> None:
        """Quarantine a damaged copy: the one that is open as `damaged`, or one that can't even be opened.

        A sound copy that has taken its place meanwhile is left alone.
        """
        with self._lock(object_name(key)):
            try:
                with self._disk.open(key) as present:
                    if damaged is None or not present.is_same_file(damaged):
                        return
            except NotFoundError:
                return
            except CorruptFileError:
                pass
            self._quarantine(key)

    def durable(self, keys: Sequence[str]) -> list[ObjectInfo]:
        """The facts of those keys that this node holds and would hold after a power cut."""
        found = (self._durable(key) for key in keys)
        return [info for info in found if info is not None]

    def confirmed(self, found: Sequence[ObjectInfo], *, epoch: int) -> list[ObjectInfo]:
        """Those of these facts, just found durable, that are true at an epoch: others may rely on them.

        Raises:
            StaleRingError: `epoch` is older than the node's.
            UnavailableError: the node can't vouch for anything now.
        """
        with self.fence.commit(epoch=epoch):
            return [info for info in found if info == self.index.get(info.key) == self._on_disk(info.key)]

    def remove(self, key: str, *, epoch: int) -> bool:
        """Drop this node's copy for the ring. False: there was none.

        Raises:
            StaleRingError: `epoch` is older than the node's.
            UnavailableError: the node takes no changes, or its disk failed.
        """
        with self._lock(object_name(key)), self.fence.commit(epoch=epoch, removal=True):
            return self._drop(key)

    def purge_page(self, grave: str, *, after: str = "") -> Purge:
        """Remove some (buried) objects under a tombstone, after a key. One that resists holds up no other.

        Raises:
            UnavailableError: the index is not complete.
        """
        self.check_complete()
        keys, problems = self._page_under(grave, after), list[str]()
        for key in keys:
            try:
                with self._lock(object_name(key)):
                    self._drop(key)
            except UnavailableError as error:
                problems.append(f"{key} stays: {error}")
        return Purge(
            removed=len(keys) - len(problems),
            after=keys[-1] if keys else "",
            problem=problems[0] if problems else "",
        )

    def reconcile(self, partition: int) -> None:
        """Make the index of a partition agree with the disk.

        Raises:
            UnavailableError: the disk failed.
        """
        on_disk = set(self._disk.names(partition))
        indexed = {object_name(key): key for key in self._indexed_keys(partition)}
        for name in on_disk - indexed.keys():
            self._adopt(name)
        for name in indexed.keys() - on_disk:
            self._durable(indexed[name])

    def check_complete(self) -> None:
        """Refuse while the index may miss objects.

        Raises:
            UnavailableError: it may.
        """
        if not self.complete:
            raise UnavailableError("The node is still reading its disk after an unclean stop.")

    def _indexed_keys(self, partition: int) -> Iterator[str]:
        after = ""
        while page := self.index.of_partition(partition, after=after):
            yield from (info.key for info in page)
            after = page[-1].key

    def _page_under(self, grave: str, after: str) -> list[str]:
        """The keys of the first objects behind one that lie under a tombstone, a page at most."""
        video_id = grave.partition(".")[0]
        while page := self.index.of_video(video_id, after=after):
            if found := [info.key for info in page if grave in graves(*parse_key(info.key))]:
                return found
            after = page[-1].key
        return []

    def _adopt(self, name: str) -> None:
        """Index an object that was found on the disk under its name."""
        with self._lock(name):
            try:
                with self._disk.open_name(name) as found:
                    key = found.info.key
            except NotFoundError:
                return
            except CorruptFileError:
                self._disk.quarantine(name)
                return
        self._durable(key)

    def _durable(self, key: str) -> ObjectInfo | None:
        """What the disk holds of a key, with the index brought in line where it says otherwise."""
        info = self._on_disk(key)
        if info == self.index.get(key):
            return info
        with self._lock(object_name(key)):
            info = self._on_disk(key)
            if info:
                self._disk.keep(object_name(key))
                with self._indexing():
                    self.index.add(info)
            elif self.index.get(key):
                self._quarantine(key)
        return info

    def _lost(self, key: str) -> bool:
        """Whether the disk has lost an object that the index names, which is no more named then."""
        with self._lock(object_name(key)):
            lost = self.index.get(key) is not None and self._on_disk(key) is None
            if lost:
                self._quarantine(key)
            return lost

    def _on_disk(self, key: str) -> ObjectInfo | None:
        try:
            with self._disk.open(key) as found:
                return found.info
        except (NotFoundError, CorruptFileError):
            return None

    def _replaces_damaged(self, stage: Stage, key: str) -> bool:
        """Where the name is taken by a damaged object, move that away and take the name."""
        try:
            self._disk.open(key).close()
        except CorruptFileError as error:
            self._quarantine(key)
            if not self._disk.publish(stage, key):
                raise UnavailableError(
                    f"A damaged file is in the place of {key}, and can't be moved."
                ) from error
            return True
        return False

    def _same_content(self, info: ObjectInfo) -> ObjectInfo:
        with self._disk.open(info.key) as present:
            if (present.info.sha256, present.info.size_bytes) != (info.sha256, info.size_bytes):
                raise ConflictError(f"{info.key} is stored already, with other content.")
            return present.info

    def _quarantine(self, key: str) -> None:
        """Take a copy out of service, whether its file is damaged or gone."""
        self._disk.quarantine(object_name(key))
        self._forget(key)
        self.on_loss(key)

    def _drop(self, key: str) -> bool:
        removed = self._disk.remove(key)
        self._forget(key)
        return removed

    def _forget(self, key: str) -> None:
        with self._indexing():
            self.index.remove(key)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with self._locks[int(name[-2:], 16)]:
            yield

    @contextmanager
    def _indexing(self) -> Iterator[None]:
        """Where the index can't be written it may miss objects from now on; the next start sees to that."""
        try:
            yield
        except sqlite3.Error as error:
            self.complete = False
            self._guard.stop_writing(why_unwritable(error))
            raise UnavailableError(self._guard.read_only_reason) from error
