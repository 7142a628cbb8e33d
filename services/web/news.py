"""News of videos, for everyone who watches a page: who subscribes hears of each change, as it is by then.

Events from the broker are hints. The record is read again for each, once for all subscribers; and since hints
can be lost, everything that work remains for is read again from time to time as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from services.shared.broker import Broker
from services.shared.catalog import Catalog
from services.shared.errors import NotFoundError, UnavailableError
from services.shared.lifecycle import background
from services.shared.telemetry import Gauge
from services.web.views import VideoView

log = logging.getLogger(__name__)

MAX_SUBSCRIBERS: Final = 1000

_REREAD_S: Final = 5.0
"""How long a page may lag behind when events are lost."""

_GATHER_S: Final = 0.2
"""Hints that come in quick succession cause one read."""

_MAX_LOOKED_AT: Final = 200
_MAX_UNREAD: Final = 1000
"""Videos whose changes a slow page may have waiting; later ones it learns of when it is loaded again."""

_DELETED: Final = "video.deleted"
_SUBSCRIBERS: Final = Gauge("tritontube_news_subscribers", "Pages that listen for changes of videos.")

Change = VideoView | None
"""A video as it is now; None: it is gone."""


class Subscriber:
    """Receives the changes of all videos, or of one. Only the latest of each video is kept for it."""

    def __init__(self, video_id: str | None) -> None:
        self.closed = False
        self.video_id = video_id
        self._changes: dict[str, Change] = {}
        self._awake = asyncio.Event()

    def tell(self, video_id: str, change: Change) -> None:
        """Keep a change for it, in place of an older one of the same video."""
        if self.video_id in {None, video_id} and len(self._changes) < _MAX_UNREAD:
            self._changes[video_id] = change
            self._awake.set()

    def close(self) -> None:
        """Let it know that there will be nothing more."""
        self.closed = True
        self._awake.set()

    async def next(self, timeout_s: float) -> dict[str, Change]:
        """What has changed since the last call, by video id; empty if nothing did in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._awake.wait()
        except TimeoutError:
            return {}
        self._awake.clear()
        changes, self._changes = self._changes, {}
        return changes


class Newsroom:
    """Hears of changes and tells subscribers."""

    def __init__(self, catalog: Catalog, *, on_hint: Callable[[str, bool], None]) -> None:
        """`on_hint` is told the id of each video that something happened to, and whether it is gone."""
        self._catalog = catalog
        self._on_hint = on_hint
        self._subscribers: set[Subscriber] = set()
        self._arrived = asyncio.Event()
        self._hinted: set[str] = set()
        self._awake = asyncio.Event()
        self._told: dict[str, Change] = {}

    @contextmanager
    def subscribe(self, video_id: str | None = None) -> Iterator[Subscriber]:
        """Hear of all videos, or of one, while the context lasts.

        Raises:
            UnavailableError: too many listen already.
        """
        if len(self._subscribers) >= MAX_SUBSCRIBERS:
            raise UnavailableError("Too many pages listen for news at the moment.")
        subscriber = Subscriber(video_id)
        self._subscribers.add(subscriber)
        self._arrived.set()
        _SUBSCRIBERS.set(len(self._subscribers))
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)
            _SUBSCRIBERS.set(len(self._subscribers))

    def close(self) -> None:
        """Send all subscribers home."""
        for subscriber in self._subscribers:
            subscriber.close()

    def hint(self, video_id: str, gone: bool = False) -> None:  # noqa: FBT001, FBT002 - a plain callback
        """Something may have happened to this video."""
        self._on_hint(video_id, gone)
        self._hinted.add(video_id)
        self._awake.set()

    async def run(self, broker: Broker, *, instance: str) -> None:
        """Listen and tell, for ever."""
        async with background(self._listen(broker, instance), self._look_around()):
            await self._tell()

    async def _listen(self, broker: Broker, instance: str) -> None:
        queue = f"web.{instance}"
        async with broker.subscribe_events(["video.*"], queue, on_missed=self._hint_told) as events:
            async for event in events:
                self.hint(event.correlation_id, event.routing_key == _DELETED)

    async def _look_around(self) -> None:
        """Read again, from time to time and when somebody new listens, what may change."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_REREAD_S):
                    await self._arrived.wait()
            await asyncio.sleep(_GATHER_S)
            self._arrived.clear()
            if not self._subscribers:
                continue
            try:
                await self._look()
            except UnavailableError as error:
                log.warning("cannot look for changes of videos: %s", error)

    async def _look(self) -> None:
        """Hint at what work remains for, what is watched, and what was either of these the last time."""
        # Ids sort newest first: of a long backlog, the videos on the pages that people look at.
        active = sorted(await self._catalog.active_ids())[:_MAX_LOOKED_AT]
        watched = [subscriber.video_id for subscriber in self._subscribers if subscriber.video_id]
        current = {*active, *watched}
        for video_id in current | self._told.keys():
            self.hint(video_id)
        self._told = {video_id: told for video_id, told in self._told.items() if video_id in current}

    def _hint_told(self) -> None:
        for video_id in tuple(self._told):
            self.hint(video_id)

    async def _tell(self) -> None:
        while True:
            await self._awake.wait()
            await asyncio.sleep(_GATHER_S)
            self._awake.clear()
            hinted, self._hinted = self._hinted, set()
            for video_id in hinted if self._subscribers else ():
                await self._tell_of(video_id)

    async def _tell_of(self, video_id: str) -> None:
        try:
            change: Change = VideoView.of(await self._catalog.get(video_id))
        except NotFoundError:
            change = None
        except UnavailableError as error:
            log.warning("cannot read video %s for the news: %s", video_id, error)
            return
        if video_id in self._told and self._told[video_id] == change:
            return
        self._told[video_id] = change
        for subscriber in self._subscribers:
            subscriber.tell(video_id, change)
