"""The survey of a source whose beginning is being encoded already: its plan gets a length, and its tasks."""

from __future__ import annotations

import logging
from collections.abc import Callable

from services.shared.catalog import Catalog, Claim, WorkBook, now_ms
from services.shared.dispatch import Dispatcher
from services.shared.plan import Plan
from services.shared.task import TaskKind, due, stamped
from services.shared.video import Video
from services.transcoder.command import Input
from services.transcoder.crew import crew
from services.transcoder.opening import remaining_tasks, surveyed
from services.transcoder.probe import probe
from services.transcoder.process import Limits
from services.transcoder.source import SourceInfo
from services.transcoder.streams import Bounds

log = logging.getLogger(__name__)

Check = Callable[[], None]


class MisledError(Exception):
    """The source is not as its beginning made believe: the video has to be planned anew."""


class Surveyor:
    """Does the survey that plans of beginnings have among their tasks. Doing it twice is as good as once."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        book: WorkBook,
        dispatcher: Dispatcher,
        bounds: Bounds,
        limits: Limits,
    ) -> None:
        self._catalog = catalog
        self._book = book
        self._dispatcher = dispatcher
        self._bounds = bounds
        self._limits = limits

    async def survey(self, video: Video, plan: Plan, claim: Claim, source: Input, *, check: Check) -> None:
        """Look at all of a source, complete the plan, and ask for the rest of the work.

        Args:
            video: whose source it is.
            plan: for its beginning.
            claim: on the survey.
            source: to be looked at.
            check: raises `UnavailableError` if some of it could not be read: what looks like the end of the
                source may be that of a connection.

        Raises:
            MisledError: another plan is needed.
            FencedError: the claim is gone.
            UnsupportedMediaError: it is no video that can be played after all; the reason is for people.
            TransientJobError: a limit stopped ffprobe.
            UnavailableError: a backing service is away.
        """
        if not plan.surveyed:
            limits = self._limits.for_reading((plan.remuxed or video.source).size_bytes)
            info = await probe(source, bounds=self._bounds, limits=limits)
            check()
            await self._complete(video, plan, claim, info)
        tasks = await self._book.tasks(video.id, video.generation)
        for task in due(task for task in tasks if task.kind is not TaskKind.SURVEY):
            if not task.urgent:
                await self._dispatcher.task(video, task)

    async def _complete(self, video: Video, plan: Plan, claim: Claim, info: SourceInfo) -> None:
        workers = await crew(self._catalog, self._book)
        opening = await self._book.tasks(video.id, video.generation)
        whole = surveyed(plan, info)
        rest = remaining_tasks(whole, info.video, workers=workers, opening=opening) if whole else None
        if whole is None or rest is None:
            raise MisledError(f"Video {video.id} is not as its beginning made believe.")
        await self._book.complete_plan(claim, plan, whole, stamped(rest, now_ms=now_ms()))
        log.info("video %s: surveyed, %d more tasks", video.id, len(rest))
