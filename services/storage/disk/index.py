"""Which objects a node holds: an SQLite table that answers what the folders can't answer quickly.

The folders are the truth and the index follows them: an object is indexed after it is durable, and a change
is acknowledged after it is indexed. What a crash left between the two is found by comparing both
(`Store.reconcile`).

One thread writes. Changes that arrive while it syncs a transaction share the next one, so many writers at
once pay for one sync together.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from services.shared.ring.placement import PARTITIONS, partition_of
from services.storage.disk.objectfile import ObjectInfo

PAGE: Final = 1000
"""Most rows in one answer."""

_BATCH: Final = 256
_QUEUE: Final = 1024
_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = f"""
CREATE TABLE objects (
    partition INTEGER NOT NULL,
    key TEXT NOT NULL,
    video_id TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    stored_at_ms INTEGER NOT NULL,
    PRIMARY KEY (partition, key)
) WITHOUT ROWID;
CREATE INDEX objects_by_video ON objects (video_id, key);
PRAGMA user_version = {_SCHEMA_VERSION};
"""
_AT_PLACE: Final = "WHERE partition = ? AND key = ?"
_COLUMNS: Final = "key, size_bytes, sha256, stored_at_ms"


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """What the index holds altogether."""

    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Change:
    key: str
    info: ObjectInfo | None
    done: Future[None]


class Index:
    """The index of one node. Calls block; any thread may make them."""

    def __init__(self, path: Path) -> None:
        self._writer = _connect(path)
        self._reader = _connect(path)
        self._reading = threading.Lock()
        self._changes: queue.Queue[_Change | None] = queue.Queue(_QUEUE)
        self._files, size_bytes = _counted(self._writer)
        self.totals = Totals(files=sum(self._files), size_bytes=size_bytes)
        self._versions = [0] * PARTITIONS
        self._thread = threading.Thread(target=self._write, name="index-writer", daemon=True)
        self._thread.start()

    def add(self, info: ObjectInfo) -> None:
        """Record an object; returns once that is durable.

        Raises:
            sqlite3.Error: it could not be written.
        """
        self._change(info.key, info)

    def remove(self, key: str) -> None:
        """Forget a key, recorded or not; returns once that is durable.

        Raises:
            sqlite3.Error: it could not be written.
        """
        self._change(key, None)

    def get(self, key: str) -> ObjectInfo | None:
        """What is recorded of a key."""
        found = self._select("partition = ? AND key = ?", (partition_of(key), key), order="key")
        return found[0] if found else None

    def files(self) -> dict[int, int]:
        """How many files there are in each partition that has any."""
        return {partition: files for partition, files in enumerate(self._files) if files}

    def version(self, partition: int) -> int:
        """A number that has grown whenever a change of the partition's objects is acknowledged."""
        return self._versions[partition]

    def of_partition(self, partition: int, *, after: str = "") -> list[ObjectInfo]:
        """A page of a partition's objects, by key, after a key."""
        return self._select("partition = ? AND key > ?", (partition, after), order="key")

    def of_video(self, video_id: str, *, after: str = "") -> list[ObjectInfo]:
        """A page of a video's objects, by key, after a key."""
        return self._select("video_id = ? AND key > ?", (video_id, after), order="key")

    def everything(self, *, after: str = "") -> list[ObjectInfo]:
        """A page of all objects, by partition and key, after a key."""
        start = (partition_of(after) if after else -1, after)
        return self._select("(partition, key) > (?, ?)", start, order="partition, key")

    def close(self) -> None:
        """Write what was asked for and let go of the file."""
        self._changes.put(None)
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _change(self, key: str, info: ObjectInfo | None) -> None:
        change = _Change(key, info, Future())
        self._changes.put(change)
        change.done.result()

    def _select(self, where: str, values: Sequence[object], *, order: str) -> list[ObjectInfo]:
        statement = f"SELECT {_COLUMNS} FROM objects WHERE {where} ORDER BY {order} LIMIT {PAGE}"  # noqa: S608 - constants
        with self._reading, closing(self._reader.execute(statement, values)) as rows:
            return [
                ObjectInfo(key=key, size_bytes=size_bytes, sha256=sha256, stored_at_ms=stored_at_ms)
                for key, size_bytes, sha256, stored_at_ms in rows
            ]

    def _write(self) -> None:
        ended = False
        while not ended:
            batch = [self._changes.get()]
            while len(batch) < _BATCH and not self._changes.empty():
                batch.append(self._changes.get())
            ended = None in batch
            self._commit([change for change in batch if change])

    def _commit(self, batch: list[_Change]) -> None:
        grown, size_bytes = Counter[int](), self.totals.size_bytes
        try:
            with self._writer:
                for change in batch:
                    more_files, more_bytes = self._apply(change)
                    grown[partition_of(change.key)] += more_files
                    size_bytes += more_bytes
        except Exception as error:  # noqa: BLE001 - each waiting thread must hear of it, and this one go on
            for change in batch:
                change.done.set_exception(error)
            return
        self.totals = Totals(files=self.totals.files + grown.total(), size_bytes=size_bytes)
        for partition, more_files in grown.items():
            self._files[partition] += more_files
            self._versions[partition] += 1
        for change in batch:
            change.done.set_result(None)

    def _apply(self, change: _Change) -> tuple[int, int]:
        """Make one change; return by how much the totals grow."""
        place = (partition_of(change.key), change.key)
        old = self._writer.execute(f"SELECT size_bytes FROM objects {_AT_PLACE}", place).fetchone()  # noqa: S608 - a constant
        files, size_bytes = (-1, -old[0]) if old else (0, 0)
        if change.info is None:
            self._writer.execute(f"DELETE FROM objects {_AT_PLACE}", place)  # noqa: S608 - a constant
            return files, size_bytes
        info = change.info
        row = (*place, info.key.partition("/")[0], info.size_bytes, info.sha256, info.stored_at_ms)
        self._writer.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?)", row)
        return files + 1, size_bytes + info.size_bytes


def _counted(connection: sqlite3.Connection) -> tuple[list[int], int]:
    """How many files each partition has, and the bytes of all."""
    files, size_bytes = [0] * PARTITIONS, 0
    rows = connection.execute("SELECT partition, COUNT(*), SUM(size_bytes) FROM objects GROUP BY partition")
    for partition, count, partition_bytes in rows:
        files[partition] = count
        size_bytes += partition_bytes
    return files, size_bytes


def _connect(path: Path) -> sqlite3.Connection:
    """Open the index, made if it is missing. Each connection is used by one thread at a time."""
    connection = sqlite3.connect(path, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if connection.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
        connection.executescript(_SCHEMA)
    return connection
