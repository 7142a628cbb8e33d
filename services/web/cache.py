"""Hot files in memory: a bounded least-recently-used cache with single-flight filling.

What is in the ring never changes under its name, so nothing here ever grows stale; it can only be deleted. A
thousand viewers of a segment that is not here yet cause one read of the ring.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from services.shared.telemetry import Counter, Gauge
from services.web.flight import SingleFlight

_OVERHEAD_BYTES: Final = 1024
"""Counted for each entry on top of its data: the objects around it."""

_MAX_FILLS: Final = 32
"""Reads of the ring at a time; together with the size limit of `Load` this bounds what filling may hold."""

_LOOKUPS: Final = Counter("tritontube_cache_lookups_total", "Requests for content by outcome.", ["outcome"])
_HITS: Final = _LOOKUPS.labels("hit")
_MISSES: Final = _LOOKUPS.labels("miss")
_BYTES: Final = Gauge("tritontube_cache_bytes", "Memory held by hot files.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A file of the ring, as far as one needs it to answer for it."""

    size_bytes: int
    etag: str
    data: bytes | None
    """All of it; None for a file that is too large to be held: it is streamed."""

    @property
    def weight_bytes(self) -> int:
        """What holding this costs."""
        return _OVERHEAD_BYTES + len(self.data or b"")


Load = Callable[[str], Coroutine[Any, Any, Content]]
"""Reads a file from the ring and checks it."""


class ContentCache:
    """Contents by key, the least recently used ones leaving when `limit_bytes` are exceeded."""

    def __init__(self, *, limit_bytes: int, load: Load) -> None:
        self._limit_bytes = limit_bytes
        self._load = load
        self._held: OrderedDict[str, Content] = OrderedDict()
        self._held_bytes = 0
        self._flights = SingleFlight[Content]()
        self._fills = asyncio.Semaphore(_MAX_FILLS)
        self._filling: set[str] = set()

    @property
    def held_bytes(self) -> int:
        """What all entries cost together."""
        return self._held_bytes

    async def get(self, key: str) -> Content:
        """The content, from memory or from the ring.

        Raises:
            NotFoundError: there is no such file.
            UnavailableError: the ring could not be asked.
        """
        content = self._held.get(key)
        if content is not None:
            self._held.move_to_end(key)
            _HITS.inc()
            return content
        _MISSES.inc()
        return await self._flights.do(key, lambda: self._fill(key))

    def forget(self, prefix: str) -> None:
        """Drop everything whose key begins with `prefix`; also what is only just being read."""
        for key in [key for key in self._held if key.startswith(prefix)]:
            self._drop(key)
        self._filling = {key for key in self._filling if not key.startswith(prefix)}
        _BYTES.set(self._held_bytes)

    async def _fill(self, key: str) -> Content:
        self._filling.add(key)
        try:
            async with self._fills:
                content = await self._load(key)
            if key in self._filling:
                self._keep(key, content)
        finally:
            self._filling.discard(key)
        return content

    def _keep(self, key: str, content: Content) -> None:
        if content.weight_bytes > self._limit_bytes:
            return
        self._held[key] = content
        self._held_bytes += content.weight_bytes
        while self._held_bytes > self._limit_bytes:
            self._drop(next(iter(self._held)))
        _BYTES.set(self._held_bytes)

    def _drop(self, key: str) -> None:
        self._held_bytes -= self._held.pop(key).weight_bytes
