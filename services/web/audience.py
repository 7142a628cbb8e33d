"""Videos that are watched while they are made go first.

Whoever plays such a video asks for its manifest every few seconds, so every process knows what its own
viewers watch. For these videos it sends the next tasks a second time, through `transcode.watched`, which
workers prefer to `transcode.bulk`. Whichever message comes later finds its task done or in other hands, and
is dropped, however often it is delivered; if the process dies, the first messages are still there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Final

from services.shared.catalog import Catalog, WorkBook
from services.shared.dispatch import Dispatcher
from services.shared.errors import NotFoundError, UnavailableError
from services.shared.task import Task, due
from services.shared.video import ACTIVE, Video

log = logging.getLogger(__name__)

_INTERVAL_S: Final = 2.0
_GONE_AFTER_S: Final = 10.0
"""A player asks once a second, or once a segment of 4 s."""

_MAX_WATCHED: Final = 200
"""Videos in the making whose viewers are looked after at a time."""

_RESERVE: Final = 2
"""Tasks that wait in the queue beyond one for each worker, so that none takes another video's meanwhile."""


class Audience:
    """Who watches what, as far as this process serves it."""

    def __init__(self, *, catalog: Catalog, book: WorkBook, dispatcher: Dispatcher) -> None:
        self._catalog = catalog
        self._book = book
        self._dispatcher = dispatcher
        self._seen_at_s: dict[str, float] = {}
        self._hastened: dict[str, set[str]] = {}

    def seen(self, video_id: str) -> None:
        """Somebody watches a video that is being made."""
        if video_id in self._seen_at_s or len(self._seen_at_s) < _MAX_WATCHED:
            self._seen_at_s[video_id] = monotonic()

    async def run(self) -> None:
        """Look after the viewers, for ever."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            self._forget_the_gone()
            try:
                for video_id in tuple(self._seen_at_s):
                    await self._look_after(video_id)
            except UnavailableError as error:
                log.warning("cannot hasten what is watched: %s", error)

    async def _look_after(self, video_id: str) -> None:
        try:
            video = await self._catalog.get(video_id)
        except NotFoundError:
            return
        if video.status in ACTIVE:
            await self._hasten(video)

    async def _hasten(self, video: Video) -> None:
        name = (video.id, video.generation)
        tasks, claimed = await self._book.tasks(*name), await self._book.claimed(*name)
        hastened = self._hastened.setdefault(f"{video.id}.{video.generation}", set())
        room = len(await self._book.workers()) + _RESERVE
        for task in following(tasks, claimed, room=room):
            if task.name not in hastened:
                await self._dispatcher.hasten(video, task)
                hastened.add(task.name)

    def _forget_the_gone(self) -> None:
        before_s = monotonic() - _GONE_AFTER_S
        self._seen_at_s = {video_id: at_s for video_id, at_s in self._seen_at_s.items() if at_s >= before_s}
        self._hastened = {
            name: tasks for name, tasks in self._hastened.items() if name.partition(".")[0] in self._seen_at_s
        }


def following(tasks: Iterable[Task], claimed: Mapping[str, str], *, room: int) -> list[Task]:
    """The tasks that come next: at most `room`, in their order, none that is done or in hand.

    Urgent ones don't count: they go before all others anyway.
    """
    return [task for task in due(tasks) if not (task.urgent or task.name in claimed)][:room]
