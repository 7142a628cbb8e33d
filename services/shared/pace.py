"""Holding work down to a rate, and further where the machine has enough to do without it."""

from __future__ import annotations

import asyncio
from typing import Final

_LATE_S: Final = 0.02
"""Waking up so much later than asked for: the processor, or this process, has more to do than it can."""

LEAST_SHARE: Final = 1 / 16
"""Of the rate, however busy the machine is: work that waits for a quiet moment must come to an end."""

_DOWN: Final = 0.7
_UP: Final = 0.02
"""Steps per turn. With a tenth of all turns late it settles at 60 % of the rate, with a half at the least."""


class Pace:
    """So many bytes (or events) per second at most for all who share it, first come, first served.

    A share is had at once and paid for by whoever comes next: nothing is saved up while nobody asks, so there
    are no bursts beyond one share.

    Viewers come first: how late the event loop wakes us tells how long they wait for their turn, too. The
    later, the slower we go (additive increase, multiplicative decrease, as TCP does).
    """

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self.share = 1.0
        """Of the rate, that is had at present."""

    async def take(self, size_bytes: int) -> None:
        """Wait until so many bytes may be moved."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        begin = max(now, self._free_at)
        self._free_at = begin + size_bytes / (self._bytes_per_s * self.share)
        await asyncio.sleep(begin - now)
        self._heed(loop.time() - begin)

    def _heed(self, late_s: float) -> None:
        share = self.share * _DOWN if late_s > _LATE_S else self.share + _UP
        self.share = min(1.0, max(LEAST_SHARE, share))
