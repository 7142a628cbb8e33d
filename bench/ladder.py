"""Total work and time of a ladder made in pieces, against one ffmpeg process that makes the same ladder."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from bench import footage, pieces, quality, single
from bench.measure import CPU, WALL, Metric, Row, Trial, alternate, compare, timed
from bench.quality import Likeness, likeness
from services.shared.plan import Plan

YARDSTICK: Final = "one ffmpeg, 1 thread"

_SIZE: Final = Metric(name="size", unit="MB")
_PSNR: Final = Metric(name="PSNR of the top rung", unit="dB", logarithmic=True)
_SSIM: Final = Metric(name="SSIM of the top rung", unit="of 1", digits=4, logarithmic=True)
_MEDIA: Final = frozenset({".mp4", ".m4s"})
_DURATIONS_S: Final = {"street": 79, "bikes": 60, "bunny": 60, "screen": 60}
_QUICK_DURATIONS_S: Final = {"street": 40, "bunny": 20}

Encode = Callable[[Path], Coroutine[Any, Any, None]]


def run(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Measure one source after the other."""
    for name, duration_s in (_QUICK_DURATIONS_S if quick else _DURATIONS_S).items():
        source = footage.SOURCES[name](work, duration_s=duration_s)
        plan, _ = asyncio.run(pieces.plan_for(source, workers=1))
        course = _Course(source, plan, work)
        measured = alternate(course.variants(), rounds=rounds)
        yield from compare(
            f"{name}, {duration_s} s", measured, (CPU, WALL, _SIZE, _PSNR, _SSIM), yardstick=YARDSTICK
        )
        source.unlink()


class _Course:
    """One source, and the ways to make its ladder."""

    def __init__(self, source: Path, plan: Plan, work: Path) -> None:
        self._source = source
        self._plan = plan
        self._work = work
        self._settings: dict[str, str] = {}
        self._likenesses: dict[bytes, Likeness] = {}

    def variants(self) -> Mapping[str, Callable[[], Trial]]:
        """By name, something that runs it and measures."""
        one_process = partial(single.encode, self._source, self._plan)
        ways: dict[str, Encode] = {
            YARDSTICK: partial(one_process, threads=1),
            "pieces, 1 worker": partial(pieces.encode, self._source, workers=1),
            "one ffmpeg, its own threads": partial(one_process, threads=None),
            "pieces, 2 workers": partial(pieces.encode, self._source, workers=2),
            "one ffmpeg per rendition, 2 at once": partial(
                single.encode_each, self._source, self._plan, workers=2
            ),
        }
        return {name: partial(self._trial, encode) for name, encode in ways.items()}

    def _trial(self, encode: Encode) -> Trial:
        with tempfile.TemporaryDirectory(dir=self._work) as made:
            folder = Path(made)
            spent = timed(lambda: asyncio.run(encode(folder)))
            size_bytes = sum(file.stat().st_size for file in folder.iterdir() if file.suffix in _MEDIA)
            found = self._examined(folder)
            return {
                **spent,
                _SIZE.name: size_bytes / 1e6,
                _PSNR.name: found.psnr_db,
                _SSIM.name: found.ssim,
            }

    def _examined(self, folder: Path) -> Likeness:
        """Likeness of the highest rung to the source, once it is sure that all variants did the same work."""
        number = len(self._plan.renditions) - 1
        track = quality.joined(folder, number)
        self._settings = self._settings or quality.settings(track)
        assert quality.settings(track) == self._settings, "the variants' encoder settings differ"
        assert quality.frames(track) == self._plan.frames, "frames were lost"
        digest = sha256(track.read_bytes()).digest()  # most variants make the same bytes every time
        if digest not in self._likenesses:
            rendition = self._plan.renditions[number]
            self._likenesses[digest] = likeness(track, self._source, self._plan, rendition)
        return self._likenesses[digest]
