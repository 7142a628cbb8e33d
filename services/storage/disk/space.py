"""How much of the disk may still be filled."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from services.shared.errors import OutOfSpaceError


class Space:
    """Room on one disk above a reserve that is never touched.

    A file system that is full to the brim gets slow, and deleting, moving and indexing need room too. Where
    the operator set a capacity below the disk's size, it is measured against `stored_bytes` (what committed
    objects take) and the bytes of incoming ones, which count before they are written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        reserve_fraction: float,
        capacity_bytes: int | None,
        stored_bytes: Callable[[], int],
    ) -> None:
        self._folder = folder
        self._reserve_fraction = reserve_fraction
        self._limit_bytes = capacity_bytes
        self._stored_bytes = stored_bytes
        self._lock = threading.Lock()
        self._incoming_bytes = 0

    def capacity_bytes(self) -> int:
        """The size of the disk, or the operator's limit where that is smaller."""
        disk_bytes, _ = self._disk_bytes()
        return disk_bytes if self._limit_bytes is None else min(disk_bytes, self._limit_bytes)

    def free_bytes(self) -> int:
        """Room above the reserve; never negative."""
        disk_bytes, available_bytes = self._disk_bytes()
        free = available_bytes - int(disk_bytes * self._reserve_fraction)
        if self._limit_bytes is not None:
            used = self._stored_bytes() + self._incoming_bytes
            free = min(free, int(self._limit_bytes * (1 - self._reserve_fraction)) - used)
        return max(0, free)

    def check(self, size_bytes: int) -> None:
        """Refuse what would not fit, without counting it.

        Raises:
            OutOfSpaceError: it would cut into the reserve.
        """
        if size_bytes > self.free_bytes():
            raise OutOfSpaceError("The disk is full up to its reserve.")

    def take(self, size_bytes: int) -> None:
        """Count incoming bytes, before they are written.

        Raises:
            OutOfSpaceError: they would cut into the reserve.
        """
        with self._lock:
            self.check(size_bytes)
            self._incoming_bytes += size_bytes

    def settle(self, size_bytes: int) -> None:
        """Stop counting incoming bytes: they are committed, or gone."""
        with self._lock:
            self._incoming_bytes -= size_bytes

    def _disk_bytes(self) -> tuple[int, int]:
        facts = os.statvfs(self._folder)
        return facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize
