"""Pushes finished segments to the storage nodes that own them, a few at a time, while ffmpeg goes on."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from services.shared.content import ContentStore
from services.shared.filenames import init_file, segment_file

_MAX_IN_FLIGHT: Final = 4


class SegmentPusher:
    """An async context: leaving it waits until everything pushed is durable, or raises what went wrong.

    File names depend on nothing but track, generation and number, and the encoder is deterministic, so two
    attempts at one piece write the same bytes under the same names, which the ring accepts.
    """

    def __init__(self, content: ContentStore, *, video_id: str, generation: int) -> None:
        self._content = content
        self._video_id = video_id
        self._generation = generation
        self._slots = asyncio.Semaphore(_MAX_IN_FLIGHT)
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # one reason is enough for a task that failed

    async def init(self, track: str, data: bytes) -> None:
        """Push a track's initialisation segment."""
        await self._push(init_file(track, self._generation), data)

    async def segment(self, track: str, number: int, data: bytes) -> None:
        """Push a media segment. Waits while too many are on their way."""
        await self._push(segment_file(track, self._generation, number), data)

    async def settled(self) -> None:
        """Wait until everything pushed so far is durable."""
        for _ in range(_MAX_IN_FLIGHT):
            await self._slots.acquire()
        for _ in range(_MAX_IN_FLIGHT):
            self._slots.release()

    async def _push(self, name: str, data: bytes) -> None:
        await self._slots.acquire()
        self._group.create_task(self._put(name, data))

    async def _put(self, name: str, data: bytes) -> None:
        try:
            await self._content.put(f"{self._video_id}/{name}", data)
        finally:
            self._slots.release()
