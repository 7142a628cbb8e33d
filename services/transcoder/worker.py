"""One worker: takes jobs from the broker, one after the other, and does them until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from services.shared.broker import Dead, Envelope, Turn
from services.shared.catalog import PLAN, VERIFY, Catalog, Errand, Starts
from services.shared.dispatch import Dispatcher
from services.shared.errors import (
    DeadlyJobError,
    FencedError,
    ForeignEncoderError,
    JobError,
    NotFoundError,
    PermanentJobError,
)
from services.shared.messages import Job, MessageType, PlanJob, TaskJob, VerifyJob, VideoEvent
from services.shared.telemetry import Counter, Histogram
from services.transcoder.aside import Aside
from services.transcoder.concession import Concessions
from services.transcoder.planner import Planner
from services.transcoder.runner import TaskRunner
from services.transcoder.verification.verifier import Verifier
from services.transcoder.wanted import wanted

log = logging.getLogger(__name__)

_JOBS = Counter("tritontube_jobs_total", "Jobs handled, by kind and outcome", ["kind", "outcome"])
_SECONDS = Histogram(
    "tritontube_job_seconds",
    "Time a job took",
    ["kind"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 600),
)

_KINDS: Final[Mapping[str, type[Job]]] = {
    MessageType.PLAN: PlanJob,
    MessageType.PIECE: TaskJob,
    MessageType.AUDIO: TaskJob,
    MessageType.PICTURES: TaskJob,
    MessageType.STORYBOARD: TaskJob,
    MessageType.CAPTIONS: TaskJob,
    MessageType.SAMPLES: TaskJob,
    MessageType.VERIFY: VerifyJob,
    MessageType.SURVEY: TaskJob,
}
_EXTRAS: Final = frozenset(
    {MessageType.PICTURES, MessageType.STORYBOARD, MessageType.CAPTIONS, MessageType.SAMPLES}
)

_NOT_THE_JOB: Final = (DeadlyJobError, ForeignEncoderError)
"""Here less would not be better: it costs as many workers again, or fits no better."""


class Worker:
    """Handlers for the broker's consumer."""

    def __init__(
        self,
        *,
        instance: str,
        catalog: Catalog,
        starts: Starts,
        dispatcher: Dispatcher,
        planner: Planner,
        runner: TaskRunner,
        verifier: Verifier,
        concessions: Concessions,
        aside: Aside,
        max_attempts: int,
    ) -> None:
        self._instance = instance
        self._aside = aside
        self._catalog = catalog
        self._starts = starts
        self._concessions = concessions
        self._max_attempts = max_attempts
        self._dispatcher = dispatcher
        self._planner = planner
        self._runner = runner
        self._verifier = verifier
        self._running: dict[asyncio.Task[None], Job] = {}
        self._stopped: set[asyncio.Task[None]] = set()

    async def handle(self, envelope: Envelope, turn: Turn) -> None:
        """Do the job in a message. How it ends is told by the exceptions of `services.shared.errors`."""
        job = _job(envelope)
        work = asyncio.create_task(self._do(envelope, job, turn))
        self._running[work] = job
        try:
            with _SECONDS.labels(envelope.type).time():
                await work
        except asyncio.CancelledError:
            if work in self._stopped:
                raise FencedError("The video was deleted or cancelled.") from None
            work.cancel()
            await asyncio.wait([work])
            raise
        except BaseException as error:
            _JOBS.labels(envelope.type, type(error).__name__).inc()
            raise
        else:
            _JOBS.labels(envelope.type, "done").inc()
        finally:
            self._running.pop(work, None)
            self._stopped.discard(work)

    async def control(self, envelope: Envelope) -> None:
        """Stop working on a video that was deleted or cancelled, if that is what the records say.

        The event may be late, and the video may have been started over.
        """
        try:
            video_id = VideoEvent.model_validate_json(envelope.body).video_id
        except ValidationError:
            log.warning("an event that nobody can read: %s %s", envelope.routing_key, envelope.message_id)
            return
        for work, job in list(self._running.items()):
            if job.video_id == video_id:
                await self._stop_unwanted(work, job)

    async def _stop_unwanted(self, work: asyncio.Task[None], job: Job) -> None:
        try:
            await wanted(self._catalog, job)
        except FencedError as error:
            log.info("video %s: stopping: %s", job.video_id, error)
            if not work.done():
                self._stopped.add(work)
                work.cancel()

    async def give_up(self, envelope: Envelope, why: Dead) -> None:
        """See what becomes of a video when one of its jobs has failed for good: it goes without, or fails."""
        try:
            job = _job(envelope)
        except PermanentJobError as error:
            log.warning("a message that nobody can act on: %s", error)
            return
        if isinstance(job, VerifyJob):
            await self._verifier.give_up(job, why)
        elif isinstance(job, TaskJob) and job.redo:
            await self._concessions.forgo(job, why.reason)
        elif not (_can_be_spared(envelope, why) and await self._conceded(job, why)):
            await self._fail(job, why.reason)

    async def put_aside(self, envelope: Envelope) -> None:
        """Note that a job is going to be tried later, so that nobody takes its message for lost."""
        await self._aside.note(_job(envelope))

    async def _conceded(self, job: PlanJob | TaskJob, why: Dead) -> bool:
        return isinstance(job, TaskJob) and await self._concessions.concede(job, why.reason)

    async def _fail(self, job: PlanJob | TaskJob, reason: str) -> None:
        try:
            video = await self._catalog.fail(job.video_id, job.generation, reason)
        except NotFoundError:
            return
        log.warning("video %s failed: %s", video.id, reason)
        await self._dispatcher.news(video)

    async def _do(self, envelope: Envelope, job: Job, turn: Turn) -> None:
        await wanted(self._catalog, job)
        async with self._starts.noted(
            job.video_id, job.generation, _name(job), worker=self._instance, limit=self._max_attempts
        ):
            errand = Errand(delivery=envelope.delivery, earlier=envelope.earlier)
            if isinstance(job, PlanJob):
                await self._planner.plan(job, errand=errand)
            elif isinstance(job, VerifyJob):
                await self._verifier.verify(job, errand=errand)
            else:
                await self._runner.run(job, errand=errand, turn=turn)


def _name(job: Job) -> str:
    """What the job is called in notes of starts."""
    if isinstance(job, TaskJob):
        return job.task
    return VERIFY if isinstance(job, VerifyJob) else PLAN


def _can_be_spared(envelope: Envelope, why: Dead) -> bool:
    """Whether to try without: not where something else is to blame, and all other jobs would fail too."""
    blamed = isinstance(why.cause, JobError) and not isinstance(why.cause, _NOT_THE_JOB)
    return blamed or envelope.type in _EXTRAS


def _job(envelope: Envelope) -> Job:
    """What a message asks for.

    Raises:
        PermanentJobError: nobody can tell.
    """
    kind = _KINDS.get(envelope.type)
    if kind is None:
        raise PermanentJobError(f"No worker knows how to do {envelope.type!r}.")
    try:
        return kind.model_validate_json(envelope.body)
    except ValidationError as error:
        raise PermanentJobError("The message cannot be read.", detail=str(error)) from error
