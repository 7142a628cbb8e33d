"""Files that are still being made when a player asks for them: it is let wait instead of refused.

While a video is in the making its manifest tells of the beginning of every track as soon as one can be
played (`services.shared.manifest`). The others follow within seconds. A player that is refused a file gives
the track up for half a minute or for good; one whose answer takes a moment does not mind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Final

from services.shared.errors import NotFoundError
from services.shared.telemetry import Gauge
from services.web.cache import Content, ContentCache

PATIENCE_S: Final = 15.0
"""Longest wait: below the 20 s after which players think that a request was lost."""

_LOOK_AGAIN_S: Final = 0.25
_MAX_WAITING: Final = 500
"""Requests that may wait at a time; more are refused as they would be without any patience."""

_WAITING: Final = Gauge("tritontube_content_waiting", "Requests that wait for a file in the making.")

IsPromised = Callable[[str, str], Coroutine[Any, Any, bool]]
"""Whether a video's manifest tells of a file that is still being made, by video id and file name."""


class Patience:
    """Reads files, also such as are not there yet."""

    def __init__(
        self, cache: ContentCache, is_promised: IsPromised, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._cache = cache
        self._is_promised = is_promised
        self._patience_s = patience_s
        self._waiting = 0

    async def get(self, video_id: str, name: str) -> Content:
        """A file of a video, when it is there.

        Raises:
            NotFoundError: there is no such file, and it is none that comes within moments.
            UnavailableError: the ring could not be asked.
        """
        key = f"{video_id}/{name}"
        try:
            return await self._cache.get(key)
        except NotFoundError:
            if self._waiting >= _MAX_WAITING or not await self._is_promised(video_id, name):
                raise
        self._count(1)
        try:
            return await self._wait(video_id, name)
        finally:
            self._count(-1)

    async def _wait(self, video_id: str, name: str) -> Content:
        deadline = monotonic() + self._patience_s
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            # Asked before looking: what stops being promised is there, or will never be.
            promised = await self._is_promised(video_id, name)
            try:
                return await self._cache.get(f"{video_id}/{name}")
            except NotFoundError:
                if monotonic() > deadline or not promised:
                    raise

    def _count(self, step: int) -> None:
        self._waiting += step
        _WAITING.set(self._waiting)
