"""Finds what fell through: messages that were lost, steps that a dead worker left undone.

etcd remembers what is to be done before any message says so (an outbox). Work that no queue holds and nobody
claims has lost its message, and gets another one. While a queue still holds messages, waiting is normal: a
long backlog must not be doubled by impatience.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import Final

from services.shared.broker import Broker
from services.shared.catalog import PLAN, VERIFY, Catalog, Originals, Verifications, WorkBook, now_ms
from services.shared.dispatch import Dispatcher
from services.shared.errors import NotFoundError, UnavailableError
from services.shared.messages import BULK_QUEUE, FIRST_QUEUE, LATE_QUEUE
from services.shared.task import Task, due, lacking
from services.shared.video import Status, Video
from services.transcoder.progress import Progress

log = logging.getLogger(__name__)

_RETRY_PATIENCE_MS: Final = 15 * 60_000
"""While delayed retries are pending, a missing message is likely one of them; they wait 10 min at most, and
whenever one is put aside that is noted."""


class Sweeper:
    """Runs in every worker; etcd lets one of them sweep per interval."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        book: WorkBook,
        verifications: Verifications,
        broker: Broker,
        dispatcher: Dispatcher,
        progress: Progress,
        originals: Originals,
        interval_s: float,
        unserved_after_s: float,
    ) -> None:
        self._catalog = catalog
        self._book = book
        self._verifications = verifications
        self._broker = broker
        self._dispatcher = dispatcher
        self._progress = progress
        self._originals = originals
        self._interval_s = interval_s
        self._unserved_after_ms = int(unserved_after_s * 1000)

    async def run(self) -> None:
        """Sweep for ever, at the interval, while the backing services are there."""
        while True:
            await asyncio.sleep(self._interval_s * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load only
            try:
                if await self._book.begin_sweep(interval_ms=int(self._interval_s * 1000)):
                    await self.sweep()
            except UnavailableError as error:
                log.warning("sweep put off: %s", error)

    async def sweep(self) -> None:
        """Look once at every video that work remains for.

        Raises:
            UnavailableError: a backing service is away.
        """
        await self._sweep_active()
        await self._sweep_unverified()
        for video in await self._originals.sweep():
            log.info("video %s: its original is not kept", video.id)
            await self._dispatcher.news(video)

    async def _sweep_active(self) -> None:
        first_before_ms = await self._lost_before_ms(FIRST_QUEUE)
        bulk_before_ms = await self._lost_before_ms(BULK_QUEUE)
        for video_id in await self._catalog.active_ids():
            try:
                video = await self._catalog.get(video_id)
                await self._look(video, first_before_ms, bulk_before_ms)
            except NotFoundError:
                continue  # deleted meanwhile

    async def _sweep_unverified(self) -> None:
        late_before_ms = await self._lost_before_ms(LATE_QUEUE)
        for video_id in await self._verifications.unserved(before_ms=late_before_ms):
            try:
                video = await self._catalog.get(video_id)
            except NotFoundError:
                continue  # deleted meanwhile
            claimed = await self._book.claimed(video.id, video.generation)
            if VERIFY not in claimed and await self._verifications.touch(video_id, before_ms=late_before_ms):
                log.info("video %s: nobody verifies it; asking again", video_id)
                await self._dispatcher.verification(video)

    async def _look(self, video: Video, first_before_ms: int, bulk_before_ms: int) -> None:
        claimed = await self._book.claimed(video.id, video.generation)
        if video.status is Status.UPLOADED:
            if PLAN not in claimed and await self._catalog.touch(video.id, before_ms=first_before_ms):
                log.info("video %s: nobody plans it; asking again", video.id)
                await self._dispatcher.plan(video)
            return
        video = await self._progress.advance(video.id, video.generation)
        for task in due(await self._book.tasks(video.id, video.generation)):
            if task.name not in claimed:
                await self._ask_again(video, task, first_before_ms if task.urgent else bulk_before_ms)
        if video.restoring:
            await self._look_at_restoration(video, claimed, bulk_before_ms)

    async def _look_at_restoration(self, video: Video, claimed: Mapping[str, str], before_ms: int) -> None:
        name = (video.id, video.generation)
        for task in lacking(await self._book.tasks(*name), video.restoring):
            if task.name in claimed:
                continue
            if await self._book.republishable(*name, task.name, before_ms=before_ms, redo=True):
                log.info("video %s: nobody works on %s again; asking again", video.id, task.name)
                await self._dispatcher.redo(video, task, tracks=(video.restoring,))

    async def _ask_again(self, video: Video, task: Task, before_ms: int) -> None:
        lost = await self._book.republishable(video.id, video.generation, task.name, before_ms=before_ms)
        if lost:
            log.info("video %s: nobody works on %s; asking again", video.id, task.name)
            await self._dispatcher.task(video, lost)

    async def _lost_before_ms(self, queue: str) -> int:
        """Work of this queue whose message is older than the returned moment has lost it."""
        if await self._broker.depth(queue):
            return 0
        retrying = await self._broker.retry_depth(queue)
        return now_ms() - (_RETRY_PATIENCE_MS if retrying else self._unserved_after_ms)
