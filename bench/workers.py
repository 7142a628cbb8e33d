"""One video through the whole stack, with one worker and with two."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

from bench import footage, pieces, single
from bench.measure import WALL, Metric, Row, Trial, alternate, compare, timed
from bench.stack import Client, stack

_PLAYABLE: Final = Metric(name="upload answered to playable", unit="s")
_READY: Final = Metric(name="upload answered to ready", unit="s")
_ONE: Final = "TritonTube, 1 worker"
_DURATION_S: Final = 60
_QUICK_DURATION_S: Final = 20


def run(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Measure."""
    duration_s = _QUICK_DURATION_S if quick else _DURATION_S
    source = footage.bunny(work, duration_s=duration_s)
    variants = {
        _ONE: partial(_stack, source, work, workers=1),
        "TritonTube, 2 workers": partial(_stack, source, work, workers=2),
        "one ffmpeg, its own threads": partial(_one_process, source, work),
    }
    measured = alternate(variants, rounds=rounds)
    yield from compare(f"bunny, {duration_s} s", measured, (_PLAYABLE, _READY), yardstick=_ONE)


def _stack(source: Path, work: Path, *, workers: int) -> Trial:
    with stack(work / "stack", "--transcoders", str(workers)) as endpoints:
        client = Client(endpoints.web)
        video_id = client.upload(source)["id"]
        began = perf_counter()
        client.wait(video_id, "playable", "ready")
        playable_s = perf_counter() - began
        client.wait(video_id, "ready")
        return {_PLAYABLE.name: playable_s, _READY.name: perf_counter() - began}


def _one_process(source: Path, work: Path) -> Trial:
    """What the same ladder takes on a machine that runs nothing else."""
    plan, _ = asyncio.run(pieces.plan_for(source, workers=1))
    with tempfile.TemporaryDirectory(dir=work) as folder:
        spent = timed(lambda: asyncio.run(single.encode(source, plan, Path(folder), threads=None)))
    return {_READY.name: spent[WALL.name]}
