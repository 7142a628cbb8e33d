"""Publishing work and news: which message goes to which queue, and what the broker's UI shows of it."""

from __future__ import annotations

import logging
from typing import Final

from services.shared.broker import Broker, Envelope
from services.shared.errors import UnavailableError
from services.shared.messages import (
    BULK_QUEUE,
    FIRST_QUEUE,
    LATE_QUEUE,
    WATCHED_QUEUE,
    MessageType,
    PlanJob,
    TaskJob,
    VerifyJob,
    VideoEvent,
)
from services.shared.task import Task, TaskKind
from services.shared.video import Video

log = logging.getLogger(__name__)

_TYPES: Final = {
    TaskKind.VIDEO: MessageType.PIECE,
    TaskKind.AUDIO: MessageType.AUDIO,
    TaskKind.PICTURES: MessageType.PICTURES,
    TaskKind.STORYBOARD: MessageType.STORYBOARD,
    TaskKind.CAPTIONS: MessageType.CAPTIONS,
    TaskKind.SAMPLES: MessageType.SAMPLES,
    TaskKind.SURVEY: MessageType.SURVEY,
}


class Dispatcher:
    """Turns records into messages. Losing one is no harm: the sweeper finds what stays unserved."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def plan(self, video: Video) -> None:
        """Ask some worker to plan a video.

        Raises:
            UnavailableError: the broker did not confirm in time.
        """
        job = PlanJob(video_id=video.id, generation=video.generation)
        await self._broker.publish_job(
            FIRST_QUEUE,
            _envelope(MessageType.PLAN, f"{video.id}.{video.generation}.plan", video, job.encode()),
        )

    async def task(self, video: Video, task: Task) -> None:
        """Ask some worker to do a task.

        Raises:
            UnavailableError: the broker did not confirm in time.
        """
        job = TaskJob(video_id=video.id, generation=video.generation, task=task.name)
        await self._publish(FIRST_QUEUE if task.urgent else BULK_QUEUE, video, task, job)

    async def hasten(self, video: Video, task: Task) -> None:
        """Have a task done before those of videos that nobody watches; its first message is still under way.

        Raises:
            UnavailableError: the broker did not confirm in time.
        """
        job = TaskJob(video_id=video.id, generation=video.generation, task=task.name)
        await self._publish(WATCHED_QUEUE, video, task, job)

    async def redo(self, video: Video, task: Task, *, tracks: tuple[str, ...] = ()) -> None:
        """Ask some worker to do a finished task once more, or some of its tracks.

        Raises:
            UnavailableError: the broker did not confirm in time.
        """
        job = TaskJob(
            video_id=video.id, generation=video.generation, task=task.name, redo=True, tracks=tracks
        )
        await self._publish(BULK_QUEUE, video, task, job)

    async def verification(self, video: Video) -> None:
        """Ask some worker to look at a finished video as a whole.

        Raises:
            UnavailableError: the broker did not confirm in time.
        """
        job = VerifyJob(video_id=video.id, generation=video.generation)
        message_id = f"{video.id}.{video.generation}.verify"
        await self._broker.publish_job(
            LATE_QUEUE, _envelope(MessageType.VERIFY, message_id, video, job.encode())
        )

    async def news(self, video: Video, *, what: str = "status") -> None:
        """Tell whoever cares that a video changed. Nobody depends on hearing it."""
        event = VideoEvent(video_id=video.id, status=video.status, progress=video.progress)
        envelope = _envelope(MessageType.VIDEO_EVENT, f"{video.id}.{what}", video, event.encode())
        try:
            await self._broker.publish_event(f"video.{what}", envelope)
        except UnavailableError as error:
            log.warning("video %s: news of %s not sent: %s", video.id, what, error)

    async def _publish(self, queue: str, video: Video, task: Task, job: TaskJob) -> None:
        message_id = f"{video.id}.{video.generation}.{task.name}"
        await self._broker.publish_job(queue, _envelope(_TYPES[task.kind], message_id, video, job.encode()))


def _envelope(kind: MessageType, message_id: str, video: Video, body: bytes) -> Envelope:
    return Envelope(type=kind, body=body, message_id=message_id, correlation_id=video.id, title=video.title)
