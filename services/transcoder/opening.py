"""Which tasks make a video's beginning before all of its source has been looked at, and which follow. Pure.

The beginning is a plan of its own: what makes the video playable, sound for longer than the first pictures
last, and the survey of the whole source. The survey completes the plan: its length, and all other tasks.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from services.shared.plan import Plan
from services.shared.task import Task, TaskKind
from services.shared.tracks import AAC_FRAME_SAMPLES, AAC_FRAMES_PER_SEGMENT, AUDIO_RATE_HZ, AudioTrack
from services.transcoder.source import SourceInfo, VideoFacts
from services.transcoder.timeline import make_plan, make_tasks

_LEADING: Final = 8
"""Segments of sound that are made in advance: a moment's work. The sound of a film takes a minute."""

_HEARD_S: Final = _LEADING * AAC_FRAMES_PER_SEGMENT * AAC_FRAME_SAMPLES / AUDIO_RATE_HZ

_GUESSED: Final = ("frames", "audio", "sounds", "tail_frames", "surveyed")
"""Fields of a plan that the survey may change."""


def opening_tasks(plan: Plan, video: VideoFacts) -> tuple[Task, ...]:
    """The tasks of a plan that is not surveyed yet, in the order in which they should start."""
    lowest, *others = (task for task in make_tasks(plan, video, workers=1) if _opens(task))
    sounds = [_leading(track) for track in plan.audio]
    ordered = (lowest, *sounds[:1], *others, *sounds[1:], _bare("survey", TaskKind.SURVEY))
    return tuple(_numbered(task, number) for number, task in enumerate(ordered))


def surveyed(plan: Plan, info: SourceInfo) -> Plan | None:
    """The plan, now that all of the source is known; None: it should have been another one."""
    whole = make_plan(info, generation=plan.generation, encoder=plan.encoder)
    known = {track.name for track in plan.full.audio}
    audio = tuple(track for track in whole.audio if track.name in known)
    whole = whole.model_copy(update={"renditions": plan.full.renditions, "audio": audio})
    for track in plan.left_out:
        whole = whole.without(track)
    guessed = {field: getattr(plan, field) for field in _GUESSED}
    return whole if whole.model_copy(update=guessed) == plan else None


def remaining_tasks(
    plan: Plan, video: VideoFacts, *, workers: int, opening: Iterable[Task]
) -> tuple[Task, ...] | None:
    """The tasks of a surveyed plan beyond its opening, in order; None: its opening should be another one.

    They name the tracks that have been left out, too, which nobody makes unless they are to come back.

    Sound comes after the pieces that the opening has made sound for: with few workers, a viewer would else
    wait for pictures until the sound of the whole film is done.
    """
    begun = [task for task in opening if task.urgent]
    tasks = make_tasks(plan.full, video, workers=workers)
    if _beginning(begun) != _beginning(tasks):
        return None
    rest = [task.model_copy(update={"urgent": False}) for task in tasks if not _opens(task)]
    early = [*takewhile(lambda task: _ends_s(task, plan) <= _HEARD_S, (task for task in rest if task.piece))]
    ordered = (*early, *(task for task in rest if task not in early))
    first = 1 + max(task.order for task in begun)
    return tuple(_numbered(task, number) for number, task in enumerate(ordered, first))


def _opens(task: Task) -> bool:
    return task.urgent and task.audio is None


def _leading(track: AudioTrack) -> Task:
    task = _bare(f"audio-{track.name}-opening", TaskKind.AUDIO)
    return task.model_copy(update={"audio": track, "leading": _LEADING})


def _bare(name: str, kind: TaskKind) -> Task:
    return Task(name=f"0-{name}", kind=kind, urgent=True)


def _numbered(task: Task, number: int) -> Task:
    """The task at another place in the order, which is also how its name begins."""
    _, _, name = task.name.partition("-")
    return task.model_copy(update={"name": f"{number:05d}-{name}", "order": number})


def _beginning(tasks: Iterable[Task]) -> set[tuple[int, int | None]]:
    return {(task.piece.first_frame, task.piece.end_frame) for task in tasks if task.piece and task.urgent}


def _ends_s(task: Task, plan: Plan) -> float:
    end = task.piece.end_frame if task.piece else None
    return (plan.frames if end is None else end) * plan.fps.den / plan.fps.num
