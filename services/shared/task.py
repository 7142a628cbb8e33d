"""A plan's units of work, and what each has produced. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from pydantic import Field

from services.shared.captions import Caption
from services.shared.record import Record
from services.shared.storyboard import Storyboard
from services.shared.tracks import AudioTrack


class Piece(Record):
    """Frames `first_frame` to `end_frame` (exclusive; None: the end) of some renditions, from one decode."""

    index: int
    first_frame: int
    end_frame: int | None
    first_segment: int
    segments: int
    renditions: tuple[str, ...]
    seeks_s: tuple[float | None, ...]
    """Where to seek in the source, best first, the fall-backs behind; None: read from the beginning."""
    relief: int = 0
    """By how many steps coarser than planned it is encoded, because more would not be seen."""


class TaskKind(StrEnum):
    """What a task makes."""

    VIDEO = "piece"
    AUDIO = "audio"
    PICTURES = "pictures"
    STORYBOARD = "storyboard"
    CAPTIONS = "captions"
    SAMPLES = "samples"
    SURVEY = "survey"


EXTRAS: Final = frozenset({TaskKind.PICTURES, TaskKind.STORYBOARD, TaskKind.CAPTIONS, TaskKind.SAMPLES})
"""Kinds of tasks that a video is ready without, and goes without if they fail."""

AFTERWARDS: Final = frozenset({TaskKind.STORYBOARD})
"""Kinds of tasks that need the finished tracks."""


class TrackResult(Record):
    """What a task produced for one rendition or audio track."""

    segments: int
    size_bytes: int
    """Of all segments, without the initialisation segment."""
    peak_bitrate: int
    """Bits per second of the largest segment over its duration."""
    codec: str
    init_sha256: str
    """All pieces of a track must agree on it."""


class TaskResult(Record):
    """What a finished task reports."""

    worker: str
    frames: int = 0
    """Video frames (per rendition) or AAC frames, as counted in the output."""
    tracks: dict[str, TrackResult] = Field(default_factory=dict)
    captions: tuple[Caption, ...] = ()
    storyboard: Storyboard | None = None
    elapsed_s: float = 0.0


class Task(Record):
    """One unit of work of a plan, stored under `tasks/<video>/<generation>/<name>`."""

    name: str
    kind: TaskKind
    order: int = 0
    """Place in the order in which a plan's tasks should start."""
    urgent: bool = False
    """Goes through `transcode.first`: the video isn't playable without it."""
    piece: Piece | None = None
    audio: AudioTrack | None = None
    leading: int | None = None
    """Of a sound track: only so many segments, for a beginning without delay; another task makes it whole."""
    segments_done: int = 0
    """Leading segments already in the ring (audio reports while it goes)."""
    begun: bool = False
    """Whether a worker has ever taken it: segments of its piece may be in the ring, where none changes."""
    published_at_ms: int = 0
    result: TaskResult | None = None

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the renditions, or of the sound track, that it makes."""
        if self.piece is not None:
            return self.piece.renditions
        return (self.audio.name,) if self.audio is not None else ()

    @property
    def done(self) -> bool:
        """Whether its result has been accepted."""
        return self.result is not None


def stamped(tasks: Iterable[Task], *, now_ms: int) -> list[Task]:
    """The tasks, about to be asked for: whoever looks for lost work leaves them alone for a while."""
    return [task.model_copy(update={"published_at_ms": now_ms}) for task in tasks]


def makers(tasks: Iterable[Task], track: str) -> list[Task]:
    """The tasks that make all of a track, in order."""
    mine = (task for task in tasks if track in task.tracks and task.leading is None)
    return sorted(mine, key=lambda task: task.order)


def lacking(tasks: Iterable[Task], track: str) -> list[Task]:
    """The tasks that have to be done (again) before all of a track is there, in order."""
    return [task for task in makers(tasks, track) if task.result is None or track not in task.result.tracks]


def tracks_complete(tasks: Iterable[Task]) -> bool:
    """Whether all that a video cannot do without is done."""
    return all(task.done for task in tasks if task.kind not in EXTRAS)


def due(tasks: Iterable[Task]) -> list[Task]:
    """What there is to do now, in the order in which it should start.

    Until the source has been surveyed that is its beginning: whoever surveys it may be about to write down
    the other tasks, or have died in the middle of that.
    """
    tasks = [*tasks]
    waiting = frozenset() if tracks_complete(tasks) else AFTERWARDS
    undone = [task for task in tasks if not task.done and task.kind not in waiting]
    surveying = any(task.kind is TaskKind.SURVEY for task in undone)
    return sorted((task for task in undone if task.urgent or not surveying), key=lambda task: task.order)
