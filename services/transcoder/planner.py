"""The planning job: probe the source, cut the timeline, write the plan, ask for the work."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from services.shared.catalog import PLAN, Catalog, Errand, WorkBook, now_ms
from services.shared.dispatch import Dispatcher
from services.shared.errors import FencedError, PermanentJobError, UnsupportedMediaError
from services.shared.etcd import Compare
from services.shared.messages import PlanJob
from services.shared.plan import Plan
from services.shared.task import Task, due, stamped
from services.shared.video import Status, Video
from services.transcoder.crew import crew
from services.transcoder.prepare import Preparation
from services.transcoder.solo import Solo
from services.transcoder.wanted import wanted

log = logging.getLogger(__name__)


class Planner:
    """Handles `transcode.plan`. Doing it twice has the effect of doing it once."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        book: WorkBook,
        dispatcher: Dispatcher,
        preparation: Preparation,
        solo: Solo,
    ) -> None:
        self._catalog = catalog
        self._book = book
        self._dispatcher = dispatcher
        self._preparation = preparation
        self._solo = solo

    async def plan(self, job: PlanJob, *, errand: Errand) -> None:
        """Plan a video and publish its tasks.

        Args:
            job: which one.
            errand: the message that asks for it.

        Raises:
            FencedError: the video is gone, or has moved on, or somebody else plans it.
            PermanentJobError: the source is not a video that can be played; the reason is for people.
            UnavailableError: a backing service is away.
        """
        video = await wanted(self._catalog, job)
        plan = await self._book.plan(video.id, video.generation)
        if plan is None:
            await self._planned(job, video, errand=errand)
        await self._begin(video)

    async def _planned(self, job: PlanJob, video: Video, *, errand: Errand) -> None:
        try:
            await self._solo.do(PLAN, job, lambda held: self._make_plan(video, held), errand=errand)
        except UnsupportedMediaError as error:
            # Nobody watches over this any more, who would take it for news that the video has moved on: the
            # job is to end among the dead letters, with the reason.
            await self._catalog.refuse(video.id, video.generation, str(error))
            raise PermanentJobError(str(error)) from error

    async def _make_plan(self, video: Video, held: Compare) -> None:
        workers = await crew(self._catalog, self._book)
        plan, tasks = await self._preparation.plan(video, workers=workers)
        ordered = stamped(_in_order(tasks), now_ms=now_ms())
        if await self._book.write_plan(video.id, plan, ordered, held=[held]):
            log.info("video %s: %d tasks planned", video.id, len(tasks))

    async def _begin(self, video: Video) -> None:
        plan = await self._book.plan(video.id, video.generation)
        if plan is None:
            raise FencedError(f"Video {video.id} has moved on.")
        video = await self._catalog.change(video.id, lambda now: _started(now, plan))
        await self._dispatcher.news(video)
        tasks = await self._book.tasks(video.id, video.generation)
        for task in due(tasks):
            await self._dispatcher.task(video, task)


def _in_order(tasks: Iterable[Task]) -> list[Task]:
    return [task.model_copy(update={"order": order}) for order, task in enumerate(tasks)]


def _started(video: Video, plan: Plan) -> Video:
    if video.generation != plan.generation or video.status is not Status.UPLOADED:
        return video
    top = plan.renditions[-1]
    return video.moved_to(
        Status.PROCESSING,
        now_ms=now_ms(),
        duration_s=plan.duration_s,
        width=top.width,
        height=top.height,
        frames=plan.frames,
        renditions=plan.renditions,
        audio=plan.audio,
    )
