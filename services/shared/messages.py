"""What travels through the broker, as data. Messages are references and hints: etcd holds the truth."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.shared.record import Record
from services.shared.video import Status

FIRST_QUEUE: Final = "transcode.first"
BULK_QUEUE: Final = "transcode.bulk"
LATE_QUEUE: Final = "transcode.late"
"""What nobody waits for: done while there is nothing else to do."""
WATCHED_QUEUE: Final = "transcode.watched"
"""Second messages for the next tasks of videos that somebody watches while they are made."""

JOB_QUEUES: Final = (FIRST_QUEUE, WATCHED_QUEUE, BULK_QUEUE, LATE_QUEUE)
"""Where workers take jobs from, the preferred one first."""


class MessageType(StrEnum):
    """The AMQP `type` property: what the management UI shows in its first column."""

    PLAN = "transcode.plan"
    PIECE = "transcode.piece"
    AUDIO = "transcode.audio"
    PICTURES = "transcode.pictures"
    STORYBOARD = "transcode.storyboard"
    CAPTIONS = "transcode.captions"
    SAMPLES = "transcode.samples"
    SURVEY = "transcode.survey"
    VERIFY = "transcode.verify"
    VIDEO_EVENT = "video.event"
    HANDOFF = "storage.handoff"


class PlanJob(Record):
    """Probe the source, cut the timeline, publish the tasks."""

    video_id: str
    generation: int


class TaskJob(Record):
    """Do one task of a plan."""

    video_id: str
    generation: int
    task: str
    redo: bool = False
    """Though it has been done: its files may have been lost. Nothing depends on the outcome."""
    tracks: tuple[str, ...] = ()
    """Of a task that is done again: these only; empty: all that are part of the video."""


class VerifyJob(Record):
    """Look at a finished video as a whole, from where that stopped. What was asked for is in etcd."""

    video_id: str
    generation: int


Job = PlanJob | TaskJob | VerifyJob
"""What workers are asked to do."""


class VideoEvent(Record):
    """Something about a video changed; `status` and `progress` as they were then.

    Routing keys: `video.status`, `video.progress`, and for the workers `video.deleted`, `video.cancelled`.
    """

    video_id: str
    status: Status
    progress: float = 0.0


class HandoffReason(StrEnum):
    """Why files leave a node."""

    JOIN = "join"
    DRAIN = "drain"
    DEAD = "dead"
    REPAIR = "repair"


class HandoffEvent(Record):
    """A node should hand the files of a partition over to their new owners. A hint: the ring decides."""

    change_id: str
    epoch: int
    partition: int
    node: str
    destinations: tuple[str, ...]
    reason: HandoffReason


def handoff_queue(node_id: str) -> str:
    """The work queue of a storage node."""
    return f"storage.handoff.{node_id}"
