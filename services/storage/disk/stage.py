"""An object on its way in."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from services.shared.errors import UnavailableError
from services.storage.disk.guard import DiskGuard
from services.storage.disk.objectfile import Data, ObjectInfo, ObjectWriter
from services.storage.disk.space import Space


class Stage:
    """One incoming object in a temporary file: appended to, sealed, then linked to its name.

    Leaving the context removes the temporary name whatever happened; a link made by then stays. Its calls
    block, and exclude each other, so that a file is never closed under one that is still writing to it.
    """

    def __init__(self, path: Path, *, space: Space, guard: DiskGuard) -> None:
        self._path = path
        self._space = space
        self._guard = guard
        self._taken_bytes = 0
        self._busy = threading.Lock()
        self._closed = False
        with guard.receiving():
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._writer = ObjectWriter(self._descriptor)

    @property
    def closed(self) -> bool:
        """Whether the temporary file has been let go."""
        return self._closed

    @property
    def size_bytes(self) -> int:
        """Data received so far."""
        return self._writer.size_bytes

    @property
    def sha256(self) -> bytes:
        """Digest of the data so far."""
        return self._writer.sha256

    def append(self, *chunks: Data) -> None:
        """Write more data.

        Raises:
            OutOfSpaceError: it would cut into the disk's reserve.
            UnavailableError: the disk failed.
        """
        size_bytes = sum(map(len, chunks))
        with self._busy, self._guard.changing():
            self._check_open()
            self._space.take(size_bytes)
            self._taken_bytes += size_bytes
            for chunk in chunks:
                self._writer.append(chunk)

    def seal(self, *, key: str, stored_at_ms: int) -> ObjectInfo:
        """Complete the object and make its bytes durable. Nothing may be appended afterwards.

        Raises:
            OutOfSpaceError: the disk is full.
            UnavailableError: it failed.
        """
        with self._busy:
            self._check_open()
            with self._guard.changing():
                info = self._writer.finish(key=key, stored_at_ms=stored_at_ms)
            with self._guard.syncing():
                os.fsync(self._descriptor)
        return info

    def uncache(self) -> None:
        """Let the system's cache forget the object, once it is sealed."""
        with self._busy:
            self._check_open()
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

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
        """Let go of the temporary file. One that the disk keeps goes at the next start."""
        with self._busy:
            self._closed = True
            os.close(self._descriptor)
        with suppress(UnavailableError), self._guard.changing():
            self._path.unlink(missing_ok=True)
        self._space.settle(self._taken_bytes)

    def _check_open(self) -> None:
        """A write that waited for its thread while the transfer was given up must not hit another file."""
        if self._closed:
            raise UnavailableError("The transfer was given up.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
