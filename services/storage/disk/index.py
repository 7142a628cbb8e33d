"""Which objects a node holds: an SQLite table that answers what the folders can't answer quickly.

The folders are the truth and the index follows them: an object is indexed after it is durable, and a change
is acknowledged after it is indexed. What a crash left between the two is found by comparing both
(`Store.reconcile`), and that is done after every unclean stop. So the index need not be synced with each
change (write-ahead log, `synchronous = NORMAL`): a power cut may cost it the newest changes, not its order.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from services.shared.ring.placement import PARTITIONS, partition_of
from services.storage.disk.objectfile import ObjectInfo

PAGE: Final = 1000
"""Most rows in one answer."""

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
_AT_PLACE: Final = "FROM objects WHERE partition = ? AND key = ?"
_DELETE: Final = f"DELETE {_AT_PLACE} RETURNING size_bytes"
_ROW: Final = "INTO objects VALUES (?, ?, ?, ?, ?, ?)"
_MEMORY: Final = ":memory:"
_COLUMNS: Final = "key, size_bytes, sha256, stored_at_ms"

_REFUSALS: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
    }
)
_UNREADABLE: Final = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})
_PRIMARY: Final = 0xFF
"""The bits of an error code that tell its kind; the others tell more of it."""

_Row = tuple[int, str, str, int, bytes, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """What the index holds altogether."""

    files: int
    size_bytes: int


class Index:
    """The index of one node. Calls block; any thread may make them.

    Args:
        path: where it is, made if it is missing; None: in memory, an empty one.

    Raises:
        sqlite3.DatabaseError: it is damaged, or can't be written at present (`is_refusal`).
    """

    def __init__(self, path: Path | None) -> None:
        self._writer = _connect(path or _MEMORY)
        self._reader = _connect(path) if path else self._writer
        self._writing = threading.Lock()
        self._reading = threading.Lock() if path else self._writing
        self._files, size_bytes = _counted(self._writer)
        self.totals = Totals(files=sum(self._files), size_bytes=size_bytes)
        self._versions = [0] * PARTITIONS

    def add(self, info: ObjectInfo) -> None:
        """Record an object.

        Raises:
            sqlite3.Error: it could not be written.
        """
        row = (*_place(info.key), _video(info.key), info.size_bytes, info.sha256, info.stored_at_ms)
        with self._writing:
            is_new = self._writer.execute(f"INSERT {_ROW} ON CONFLICT DO NOTHING", row).rowcount
            old_bytes = 0 if is_new else self._replace(row)
            self._grow(info.key, files=is_new, size_bytes=info.size_bytes - old_bytes)

    def remove(self, key: str) -> None:
        """Forget a key, recorded or not.

        Raises:
            sqlite3.Error: it could not be written.
        """
        with self._writing:
            for (size_bytes,) in self._writer.execute(_DELETE, _place(key)).fetchall():
                self._grow(key, files=-1, size_bytes=-size_bytes)

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
        """Let go of the file, with all of it synced."""
        self._reader.close()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _select(self, where: str, values: Sequence[object], *, order: str) -> list[ObjectInfo]:
        statement = f"SELECT {_COLUMNS} FROM objects WHERE {where} ORDER BY {order} LIMIT {PAGE}"  # noqa: S608 - constants
        with self._reading, closing(self._reader.execute(statement, values)) as rows:
            return [
                ObjectInfo(key=key, size_bytes=size_bytes, sha256=sha256, stored_at_ms=stored_at_ms)
                for key, size_bytes, sha256, stored_at_ms in rows
            ]

    def _replace(self, row: _Row) -> int:
        """Record a known object anew; return how long it was."""
        (old_bytes,) = self._writer.execute(f"SELECT size_bytes {_AT_PLACE}", row[:2]).fetchone()
        self._writer.execute(f"REPLACE {_ROW}", row)
        return int(old_bytes)

    def _grow(self, key: str, *, files: int, size_bytes: int) -> None:
        partition = partition_of(key)
        self.totals = Totals(files=self.totals.files + files, size_bytes=self.totals.size_bytes + size_bytes)
        self._files[partition] += files
        self._versions[partition] += 1


def is_refusal(error: sqlite3.DatabaseError) -> bool:
    """Whether the index may be sound, and the disk, or somebody who holds it, lets nobody write to it now."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & _PRIMARY in _REFUSALS and code not in _UNREADABLE


def why_unwritable(error: sqlite3.Error) -> str:
    """Why the node takes no writes after that."""
    return f"The index could not be written ({error}). A restart with room on the disk repairs it."


def _place(key: str) -> tuple[int, str]:
    return partition_of(key), key


def _video(key: str) -> str:
    return key.partition("/")[0]


def _counted(connection: sqlite3.Connection) -> tuple[list[int], int]:
    """How many files each partition has, and the bytes of all."""
    files, size_bytes = [0] * PARTITIONS, 0
    rows = connection.execute("SELECT partition, COUNT(*), SUM(size_bytes) FROM objects GROUP BY partition")
    for partition, count, partition_bytes in rows:
        files[partition] = count
        size_bytes += partition_bytes
    return files, size_bytes


def _connect(path: Path | str) -> sqlite3.Connection:
    """Open the index, made if it is missing, and try to write to it.

    Each connection is used by one thread at a time. A statement is a transaction: nothing here needs two that
    stand or fall together.
    """
    connection = sqlite3.connect(path, check_same_thread=False, timeout=30, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if connection.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
        connection.executescript(_SCHEMA)
    # Changes nothing, but takes room in the log: where there is none, that shows here.
    connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    return connection
