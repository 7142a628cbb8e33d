"""What a video can do without, when a job for it has been given up: better one quality less than no video.

Poster, storyboard and captions are left out. A piece that cannot be encoded in all its renditions together is
tried in each of them alone, and a rendition that cannot be encoded even then is left out of the whole video,
which says so. So is a sound track, if there is another. Without its last rendition, or any of its sound,
there is no video.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

from services.shared.catalog import Catalog, Restorations, WorkBook, now_ms
from services.shared.dispatch import Dispatcher
from services.shared.errors import ConflictError, NotFoundError
from services.shared.messages import TaskJob
from services.shared.task import EXTRAS, Task, TaskResult
from services.shared.video import ACTIVE, Omission, Video
from services.transcoder.progress import Progress

log = logging.getLogger(__name__)

_NOTHING: Final = TaskResult(worker="")


class Concessions:
    """Decides what to do without. Deciding twice has the effect of deciding once."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        book: WorkBook,
        restorations: Restorations,
        dispatcher: Dispatcher,
        progress: Progress,
    ) -> None:
        self._catalog = catalog
        self._restorations = restorations
        self._book = book
        self._dispatcher = dispatcher
        self._progress = progress

    async def concede(self, job: TaskJob, reason: str) -> bool:
        """Let a video go on without a task that was given up. False: it cannot.

        Raises:
            UnavailableError: a backing service is away; ask again.
        """
        task = await self._book.task(job.video_id, job.generation, job.task)
        plan = await self._book.plan(job.video_id, job.generation)
        if task is None or plan is None or task.done:
            return True
        if task.kind in EXTRAS:
            log.warning("video %s goes without its %s: %s", job.video_id, task.kind, reason)
            return await self._settle(job)
        wanted = plan.wanted_of(task)
        if task.tracks and not wanted:  # its track has been left out already
            return await self._settle(job)
        if len(wanted) > 1:
            return await self._split(job, task, wanted, reason)
        others = plan.audio if task.audio else plan.renditions
        if wanted and len(others) > 1:
            return await self._omit(job, _omission(task, wanted[0], reason))
        return False

    async def forgo(self, job: TaskJob, reason: str) -> None:
        """Let a finished video stay as it is after a task could not be done again.

        A track that was to come back with it stays away, and nothing of it is kept.

        Raises:
            UnavailableError: a backing service is away; ask again.
        """
        log.warning("video %s: %s could not be done again: %s", job.video_id, job.task, reason)
        for track in job.tracks:
            with suppress(NotFoundError, ConflictError):  # deleted meanwhile
                await self._keep_out(job, track, reason)

    async def _keep_out(self, job: TaskJob, track: str, reason: str) -> None:
        told = f"It was made again in vain: {reason}"
        video = await self._restorations.give_up(job.video_id, job.generation, track, reason=told)
        if video:
            log.warning("video %s still goes without %s", video.id, track)
            await self._dispatcher.news(video)

    async def _split(self, job: TaskJob, task: Task, wanted: tuple[str, ...], reason: str) -> bool:
        """Have each rendition of a piece encoded by itself."""
        log.warning("video %s: %s in one rendition at a time: %s", job.video_id, task.name, reason)
        parts = await self._book.split(job.video_id, job.generation, task, wanted)
        video = await self._catalog.get(job.video_id)
        for part in parts:
            await self._dispatcher.task(video, part)
        return True

    async def _omit(self, job: TaskJob, omission: Omission) -> bool:
        """Leave a track out of the video. First it is said, so that nobody is left to wonder."""
        log.warning("video %s goes without %s: %s", job.video_id, omission.rendition, omission.reason)
        await self._catalog.change(job.video_id, lambda video: _without(video, job.generation, omission))
        await self._book.omit(job.video_id, job.generation, omission.rendition)
        return await self._settle(job)

    async def _settle(self, job: TaskJob) -> bool:
        await self._book.settle(job.video_id, job.generation, job.task, _NOTHING)
        await self._progress.advance(job.video_id, job.generation)
        return True


def _omission(task: Task, track: str, reason: str) -> Omission:
    title = f"The sound track {task.audio.title}" if task.audio and task.audio.title else ""
    return Omission(rendition=track, title=title, reason=reason)


def _without(video: Video, generation: int, omission: Omission) -> Video:
    known = {known.rendition for known in video.omitted}
    if video.generation != generation or video.status not in ACTIVE or omission.rendition in known:
        return video
    return video.model_copy(update={"omitted": (*video.omitted, omission), "updated_at_ms": now_ms()})
