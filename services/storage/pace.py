"""Holding work down to a rate."""

from __future__ import annotations

import asyncio


class Pace:
    """So many bytes per second for all who share it, first come, first served.

    A share is had at once and paid for by whoever comes next: nothing is saved up while nobody asks, so there
    are no bursts beyond one share.
    """

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0

    async def take(self, size_bytes: int) -> None:
        """Wait until so many bytes may be moved."""
        now = asyncio.get_running_loop().time()
        begin = max(now, self._free_at)
        self._free_at = begin + size_bytes / self._bytes_per_s
        await asyncio.sleep(begin - now)
