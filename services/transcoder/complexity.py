"""How little quality will do for a video, judged by a few samples of it. Pure.

Constant quality is constant only in the encoder's terms. Drawings, slides and calm pictures come out far
better than anybody can see, where grain and motion come out just right. So samples are encoded at the planned
quality and coarser, and the rest of the video is encoded as coarse as its most delicate sample bears.

What is judged is the structural similarity to the source (SSIM; Wang et al., 2004). From 0.98 on differences
are hard to see even side by side. Nobody waits for the verdict: what has been begun when it comes keeps the
planned quality.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import floor, log10
from typing import Final

from services.shared.plan import Plan
from services.shared.task import Task
from services.shared.tracks import Rendition

MAX_RELIEF: Final = 6
"""Steps of quality, each of which saves about an eighth of the bits. Half of them, at most: estimates err."""

MIN_AHEAD: Final = 4
"""With fewer pieces left than this there is not enough to save."""

_GOOD_DB: Final = -10 * log10(1 - 0.98)
_BEST: Final = 0.99999
"""Of pictures without any loss, the logarithm has no end."""
_SAMPLES: Final = 4
_YARDSTICK_LINES: Final = 480


def ahead(tasks: Iterable[Task], claimed: Collection[str]) -> list[Task]:
    """The pieces that nobody has ever begun: those behind the furthest one that was done or is being done.

    A piece must not change once somebody has encoded part of it, even if nobody has it now.
    """
    tasks = [*tasks]
    begun = [task.order for task in tasks if task.piece and (task.begun or task.done or task.name in claimed)]
    frontier = max(begun, default=-1)
    return [task for task in tasks if task.piece and not task.urgent and task.order > frontier]


def sampled(pieces: Sequence[Task]) -> list[Task]:
    """A few of the pieces, spread evenly."""
    count = min(_SAMPLES, len(pieces))
    return [pieces[(2 * number + 1) * len(pieces) // (2 * count)] for number in range(count)]


def yardstick(plan: Plan) -> Rendition:
    """The rendition that is judged: the largest of moderate size, in the codec that everybody gets."""
    first = plan.renditions[0]
    alike = [r for r in plan.renditions if r.encoding.profile == first.encoding.profile]
    return next((r for r in reversed(alike) if min(r.width, r.height) <= _YARDSTICK_LINES), first)


def relief(samples: Iterable[tuple[float, float]]) -> int:
    """By how many steps of quality all samples can be encoded coarser and still look as the source does.

    Args:
        samples: of each, its similarity at the planned quality and at `MAX_RELIEF` steps below. Between the
            two it falls about evenly, in decibels.
    """
    return min((_relief(_db(planned), _db(coarsest)) for planned, coarsest in samples), default=0)


def _relief(planned_db: float, coarsest_db: float) -> int:
    if coarsest_db >= _GOOD_DB:
        return MAX_RELIEF
    if planned_db <= _GOOD_DB:
        return 0
    return floor(MAX_RELIEF * (planned_db - _GOOD_DB) / (planned_db - coarsest_db))


def _db(similarity: float) -> float:
    return -10 * log10(1 - min(similarity, _BEST))
