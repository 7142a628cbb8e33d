"""An object on its way in."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from services.storage.guard import DiskGuard
from services.storage.objectfile import ObjectInfo, ObjectWriter
from services.storage.space import Space


class Stage:
    """One incoming object in a temporary file: appended to, sealed, then linked to its name.

    Leaving the context removes the temporary name whatever happened; a link made by then stays. Blocks, and
    belongs to one caller at a time.
    """

    def __init__(self, path: Path, *, space: Space, guard: DiskGuard) -> None:
        self._path = path
        self._space = space
        self._guard = guard
        self._taken_bytes = 0
        with guard.changing():
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._writer = ObjectWriter(self._descriptor)

    @property
    def size_bytes(self) -> int:
        """Data received so far."""
        return self._writer.size_bytes

    @property
    def sha256(self) -> bytes:
        """Digest of the data so far."""
        return self._writer.sha256

    def append(self, data: bytes) -> None:
        """Write more data.

        Raises:
            OutOfSpaceError: it would cut into the disk's reserve.
            UnavailableError: the disk failed.
        """
        self._space.take(len(data))
        self._taken_bytes += len(data)
        with self._guard.changing():
            self._writer.append(data)

    def seal(self, *, key: str, stored_at_ms: int) -> ObjectInfo:
        """Complete the object and make its bytes durable. Nothing may be appended afterwards.

        Raises:
            OutOfSpaceError: the disk is full.
            UnavailableError: it failed.
        """
        with self._guard.changing():
            info = self._writer.finish(key=key, stored_at_ms=stored_at_ms)
        with self._guard.syncing():
            os.fsync(self._descriptor)
        return info

    def link_to(self, path: Path) -> bool:
        """Give the object a name. False: that name is taken.

        Raises:
            OSError: as the file system reports it.
        """
        try:
            os.link(self._path, path)
        except FileExistsError:
            return False
        return True

    def close(self) -> None:
        """Let go of the temporary file."""
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)
        self._space.settle(self._taken_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
