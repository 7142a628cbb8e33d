"""Telling the broker what happened, without letting people wait for a broker that is away.

Nothing is lost with a message that is not sent: etcd holds what is to be done before any message says so, and
the sweeper asks for what nobody does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from services.shared.dispatch import Dispatcher
from services.shared.errors import UnavailableError
from services.shared.video import Video

log = logging.getLogger(__name__)

_PATIENCE_S: Final = 2.0
"""How long a request waits for the broker's confirmation; publishing goes on behind it."""

_MAX_PENDING: Final = 200


class Herald:
    """Publishes jobs and news of changes that this process made, and tells its own pages."""

    def __init__(self, dispatcher: Dispatcher, *, hint: Callable[[str, bool], None]) -> None:
        """`hint` is told the id of each video that changed, and whether it is gone."""
        self._dispatcher = dispatcher
        self._hint = hint
        self._pending: set[asyncio.Task[None]] = set()

    async def submit(self, video: Video) -> None:
        """Ask for a video to be processed."""
        await self._send(video, self._plan(video))

    async def changed(self, video: Video) -> None:
        """Tell that a video's record changed."""
        await self._send(video, self._dispatcher.news(video))

    async def deleted(self, video: Video) -> None:
        """Tell that a video is gone, so that work on it stops."""
        await self._send(video, self._dispatcher.news(video, what="deleted"), gone=True)

    async def cancelled(self, video: Video) -> None:
        """Tell that a video is not to be processed any more, so that work on it stops."""
        await self._send(video, self._dispatcher.news(video, what="cancelled"))

    async def _send(self, video: Video, sending: Coroutine[Any, Any, None], *, gone: bool = False) -> None:
        self._hint(video.id, gone)
        if len(self._pending) >= _MAX_PENDING:
            sending.close()
            log.warning("video %s: not told to the broker, which is too far behind", video.id)
            return
        task = asyncio.create_task(sending, name=f"tell of {video.id}")
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        await asyncio.wait([task], timeout=_PATIENCE_S)

    async def _plan(self, video: Video) -> None:
        try:
            await self._dispatcher.plan(video)
        except UnavailableError as error:
            log.warning("video %s: not submitted, the sweeper will: %s", video.id, error)
        await self._dispatcher.news(video)
