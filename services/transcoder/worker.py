"""One worker: takes jobs from the broker, one at a time, and does them until it is told to stop."""

from __future__ import annotations

import asyncio
import logging

from services.shared.broker import Envelope
from services.shared.catalog import Catalog
from services.shared.dispatch import Dispatcher
from services.shared.errors import FencedError, NotFoundError, PermanentJobError
from services.shared.messages import MessageType, PlanJob, TaskJob, VideoEvent
from services.shared.telemetry import Counter, Histogram
from services.transcoder.planner import Planner
from services.transcoder.runner import TaskRunner

log = logging.getLogger(__name__)

_JOBS = Counter("tritontube_jobs_total", "Jobs handled, by kind and outcome", ["kind", "outcome"])
_SECONDS = Histogram(
    "tritontube_job_seconds",
    "Time a job took",
    ["kind"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 600),
)


class Worker:
    """Handlers for the broker's consumer."""

    def __init__(
        self, *, catalog: Catalog, dispatcher: Dispatcher, planner: Planner, runner: TaskRunner
    ) -> None:
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._planner = planner
        self._runner = runner
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stopped: set[str] = set()

    async def handle(self, envelope: Envelope) -> None:
        """Do the job in a message. How it ends is told by the exceptions of `services.shared.errors`."""
        video_id = envelope.correlation_id
        work = asyncio.create_task(self._do(envelope))
        self._running[video_id] = work
        try:
            with _SECONDS.labels(envelope.type).time():
                await work
        except asyncio.CancelledError:
            if video_id in self._stopped:
                raise FencedError("The video was deleted.") from None
            work.cancel()
            await asyncio.wait([work])
            raise
        except BaseException as error:
            _JOBS.labels(envelope.type, type(error).__name__).inc()
            raise
        else:
            _JOBS.labels(envelope.type, "done").inc()
        finally:
            self._running.pop(video_id, None)
            self._stopped.discard(video_id)

    async def control(self, envelope: Envelope) -> None:
        """Stop working on a video that was deleted or cancelled."""
        video_id = VideoEvent.model_validate_json(envelope.body).video_id
        work = self._running.get(video_id)
        if work is not None:
            log.info("video %s: %s; stopping", video_id, envelope.type)
            self._stopped.add(video_id)
            work.cancel()

    async def give_up(self, envelope: Envelope, reason: str) -> None:
        """Tell people that a job has failed for good: its video cannot be finished."""
        if envelope.type == MessageType.PICTURES:
            log.warning("video %s goes without a poster: %s", envelope.correlation_id, reason)
            return
        generation = _generation(envelope)
        try:
            video = await self._catalog.fail(envelope.correlation_id, generation, reason)
        except NotFoundError:
            return
        log.warning("video %s failed: %s", video.id, reason)
        await self._dispatcher.news(video)

    async def _do(self, envelope: Envelope) -> None:
        if envelope.type == MessageType.PLAN:
            await self._planner.plan(PlanJob.model_validate_json(envelope.body))
        elif envelope.type in {MessageType.PIECE, MessageType.AUDIO, MessageType.PICTURES}:
            job = TaskJob.model_validate_json(envelope.body)
            take_over = envelope.redelivered or envelope.attempt > 1
            await self._runner.run(job, take_over=take_over)
        else:
            raise PermanentJobError(f"No worker knows how to do {envelope.type!r}.")


def _generation(envelope: Envelope) -> int:
    if envelope.type == MessageType.PLAN:
        return PlanJob.model_validate_json(envelope.body).generation
    return TaskJob.model_validate_json(envelope.body).generation
