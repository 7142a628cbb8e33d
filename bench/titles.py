"""Quality by title: what it saves on videos of different kinds, and what it costs to find out."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from bench import footage, quality
from bench.measure import CPU, Metric, Row, Trial, alternate, compare, timed
from bench.pieces import Folder
from services.shared.plan import Plan
from services.shared.task import Task, TaskKind
from services.transcoder.command import Input
from services.transcoder.complexity import MIN_AHEAD, relief, sampled
from services.transcoder.encode import PieceJob, encode_piece
from services.transcoder.ladder import H264
from services.transcoder.probe import probe
from services.transcoder.process import Limits
from services.transcoder.timeline import make_plan, make_tasks
from services.transcoder.titles import judge

YARDSTICK: Final = "as planned"

_WORKERS: Final = 4
"""As many as the pieces are cut for; they are encoded one after the other."""
_LIMITS: Final = Limits(wall_s=1200)
_SIZE: Final = Metric(name="size of all pictures", unit="MB")
_SSIM: Final = Metric(name="SSIM of the top rung", unit="of 1", digits=4, logarithmic=True)
_RELIEF: Final = Metric(name="quality lowered by", unit="steps", logarithmic=True)
_DURATIONS_S: Final = {"street": 79, "bikes": 100, "bunny": 60, "screen": 60, "slides": 120}
_QUICK_DURATIONS_S: Final = {"street": 79, "bikes": 60, "bunny": 40}


def run(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Measure one source after the other."""
    for name, duration_s in (_QUICK_DURATIONS_S if quick else _DURATIONS_S).items():
        source = footage.SOURCES[name](work, duration_s=duration_s)
        variants = {
            YARDSTICK: partial(_trial, source, work, by_title=False),
            "by title": partial(_trial, source, work, by_title=True),
        }
        measured = alternate(variants, rounds=rounds)
        yield from compare(
            f"{name}, {duration_s} s", measured, (CPU, _SIZE, _SSIM, _RELIEF), yardstick=YARDSTICK
        )
        source.unlink()


def _trial(source: Path, work: Path, *, by_title: bool) -> Trial:
    with tempfile.TemporaryDirectory(dir=work) as made:
        folder = Path(made)
        course = _Course(source, by_title=by_title)
        spent = timed(lambda: asyncio.run(course.encode(folder)))
        size_bytes = sum(file.stat().st_size for file in folder.iterdir())
        likeness = course.likeness(folder)
        return {
            **spent,
            _SIZE.name: size_bytes / 1e6,
            _SSIM.name: likeness.ssim,
            _RELIEF.name: course.relief,
        }


class _Course:
    """One source, encoded piece after piece as a single worker does."""

    def __init__(self, source: Path, *, by_title: bool) -> None:
        self._source = source
        self._input = Input(location=str(source))
        self._ladder = H264.model_copy(update={"per_title": by_title})
        self._plan: Plan | None = None
        self.relief = 0

    async def encode(self, folder: Path) -> None:
        info = await probe(self._input)
        plan = self._plan = make_plan(info, generation=1, encoder="bench", ladder=self._ladder)
        sink = Folder(folder, plan)
        tasks = make_tasks(plan, info.video, workers=_WORKERS)
        for place, task in enumerate(tasks):
            if task.kind is TaskKind.SAMPLES:
                self.relief = await self._judged(plan, [later for later in tasks[place:] if later.piece])
            if task.piece is not None:
                piece = task.piece.model_copy(update={"relief": self.relief})
                await encode_piece(PieceJob(source=self._input, plan=plan, piece=piece), sink)

    async def _judged(self, plan: Plan, ahead: Sequence[Task]) -> int:
        if len(ahead) < MIN_AHEAD:
            return 0
        pieces = [task.piece for task in sampled(ahead) if task.piece]
        return relief([await judge(self._input, plan, piece, limits=_LIMITS) for piece in pieces])

    def likeness(self, folder: Path) -> quality.Likeness:
        assert self._plan is not None
        number = len(self._plan.renditions) - 1
        track = quality.joined(folder, number)
        assert quality.frames(track) == self._plan.frames, "frames were lost"
        return quality.likeness(track, self._source, self._plan, self._plan.renditions[number])
