"""A track that was left out of a finished video and is being made again: how far it has come, and its return.

Pure. The steps that change records are in `services.shared.catalog.restorations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from services.shared.plan import Plan
from services.shared.task import Task, lacking, makers
from services.shared.video import Omission, Video

_EDITION_DIGITS: Final = 8


def with_restored(plan: Plan, tasks: Sequence[Task]) -> Plan:
    """The plan; with the track that was being made again in its place, once all of it is there."""
    return plan.restored() if plan.restoring and not lacking(tasks, plan.restoring) else plan


def edition_of(plan: Plan) -> str:
    """What tells the final manifests of a plan from those of the same plan with fewer tracks."""
    return sha256(" ".join(sorted(plan.tracks)).encode()).hexdigest()[:_EDITION_DIGITS]


def omissions(video: Video, plan: Plan, tasks: Sequence[Task]) -> tuple[Omission, ...]:
    """What a video goes without, and how much has been made again of the track that may come back.

    Args:
        video: its record so far.
        plan: its plan, without that track.
        tasks: of the plan.
    """
    if not plan.restoring:
        return video.omitted
    missing = lacking(tasks, plan.restoring)
    if not missing:
        return tuple(left for left in video.omitted if left.rendition != plan.restoring)
    share = round(1 - len(missing) / len(makers(tasks, plan.restoring)), 4)
    return tuple(
        left.model_copy(update={"progress": share}) if left.rendition == plan.restoring else left
        for left in video.omitted
    )
