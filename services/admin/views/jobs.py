"""Jobs as JSON, as `tritontube-admin jobs … --json` tells them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from services.admin.views.changes import View, moment
from services.shared.stubs.tritontube.jobs.v1 import jobs_pb2 as pb


class DeadLetterView(View):
    """A job that was given up."""

    queue: str
    id: str
    type: str
    video: str
    title: str
    attempt: int
    error: str = Field(description="why it was given up")
    detail: str = Field(description="the end of ffmpeg's messages and its command line, or a traceback")
    published_at: datetime | None

    @classmethod
    def of(cls, letter: pb.DeadLetter) -> DeadLetterView:
        """What is told of a dead letter."""
        return cls(
            queue=letter.queue,
            id=letter.message_id,
            type=letter.type,
            video=letter.video_id,
            title=letter.title,
            attempt=letter.attempt,
            error=letter.error,
            detail=letter.detail,
            published_at=moment(letter.published_at_ms) if letter.published_at_ms else None,
        )


class DeadLettersView(View):
    """Jobs that were given up, the oldest first."""

    dead: tuple[DeadLetterView, ...]


class TaskView(View):
    """One unit of work."""

    name: str
    kind: str
    state: str = Field(description="waiting, running or done")
    worker: str | None = Field(description="who does it or has done it")
    elapsed_s: float | None
    begun_by: tuple[str, ...] = Field(description="who began it and has not said how it ended")

    @classmethod
    def of(cls, task: pb.TaskStatus) -> TaskView:
        """What is told of a task."""
        return cls(
            name=task.name,
            kind=task.kind,
            state=state_name(task.state),
            worker=task.worker or None,
            elapsed_s=task.elapsed_s or None,
            begun_by=tuple(task.begun_by),
        )


class TasksView(View):
    """The work on a video."""

    status: str
    reason: str | None
    generation: int
    tasks: tuple[TaskView, ...]

    @classmethod
    def of(cls, found: pb.ListTasksResponse) -> TasksView:
        """What is told of a video's tasks."""
        return cls(
            status=found.status,
            reason=found.reason or None,
            generation=found.generation,
            tasks=tuple(map(TaskView.of, found.tasks)),
        )


class RequeuedView(View):
    """What became of the videos, by id, and of what is no job."""

    resumed: tuple[str, ...]
    restarted: tuple[str, ...]
    dropped: tuple[str, ...] = Field(description="nothing is to be done for them; their jobs are thrown away")
    why_dropped: dict[str, str] = Field(description="why that is, by the video's id")
    unreadable: tuple[str, ...] = Field(description="ids of messages that nobody can read; thrown away, too")

    @classmethod
    def of(cls, done: pb.RequeueResponse) -> RequeuedView:
        """What is told of it."""
        return cls(
            resumed=tuple(done.resumed),
            restarted=tuple(done.restarted),
            dropped=tuple(done.dropped),
            why_dropped=dict(done.why_dropped),
            unreadable=tuple(done.unreadable),
        )


class DiscardedView(View):
    """How many were thrown away."""

    discarded: int


class RedoneView(View):
    """What will be done again."""

    tasks: tuple[str, ...]


def state_name(state: pb.TaskState.ValueType) -> str:
    """`running`."""
    return pb.TaskState.Name(state).removeprefix("TASK_STATE_").lower()
