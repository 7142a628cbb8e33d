"""Videos through the whole stack, with one worker and with two."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

from bench import footage, pieces, single
from bench.measure import CPU, WALL, Metric, Row, Trial, alternate, compare, timed
from bench.spending import spending
from bench.stack import Client, stack

_PLAYABLE: Final = Metric(name="upload answered to playable", unit="s")
_ALL_PLAYABLE: Final = Metric(name="first upload answered to all playable", unit="s")
_READY: Final = Metric(name="upload answered to ready", unit="s")
_TRANSCODING: Final = Metric(name="CPU of workers and encoders", unit="s")
_REST: Final = Metric(name="CPU of the rest of the stack", unit="s")
_ONE: Final = "TritonTube, 1 worker"
_TWO: Final = "TritonTube, 2 workers"
_PLAIN: Final = "one ffmpeg, 1 thread"
_THREADS: Final = "one ffmpeg, its own threads"

_READY_POLL_S: Final = 0.5
"""Asking costs the machine something, and a minute or two need not be known to the millisecond."""
_DURATION_S: Final = 90
_QUICK_DURATION_S: Final = 20
_MANY: Final = 4
_MANY_DURATION_S: Final = 20
_QUICK_MANY: Final = 2
_QUICK_MANY_DURATION_S: Final = 8


def run(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Measure one long video, then several at once."""
    yield from _one_video(work, _QUICK_DURATION_S if quick else _DURATION_S, rounds)
    count, duration_s = (_QUICK_MANY, _QUICK_MANY_DURATION_S) if quick else (_MANY, _MANY_DURATION_S)
    yield from _many_videos(work, count, duration_s, rounds)


def _one_video(work: Path, duration_s: int, rounds: int) -> Iterator[Row]:
    source = footage.bunny(work, duration_s=duration_s)
    measured = alternate(
        {
            _ONE: partial(_stack, source, work, workers=1),
            _TWO: partial(_stack, source, work, workers=2),
            _PLAIN: partial(_one_process, source, work, threads=1),
            _THREADS: partial(_one_process, source, work, threads=None),
        },
        rounds=rounds,
    )
    subject = f"bunny, {duration_s} s"
    yield from compare(subject, measured, (_PLAYABLE, _READY), yardstick=_ONE)
    yield from compare(subject, measured, (_TRANSCODING, _REST), yardstick=_PLAIN)


def _many_videos(work: Path, count: int, duration_s: int, rounds: int) -> Iterator[Row]:
    source = footage.bunny(work, duration_s=duration_s)
    variants = {
        name: partial(_stack, source, work, workers=workers, videos=count)
        for name, workers in ((_ONE, 1), (_TWO, 2))
    }
    measured = alternate(variants, rounds=rounds)
    subject = f"{count} at once, bunny, {duration_s} s"
    yield from compare(subject, measured, (_ALL_PLAYABLE, _READY, _TRANSCODING, _REST), yardstick=_ONE)


def _stack(source: Path, work: Path, *, workers: int, videos: int = 1) -> Trial:
    with stack(work / "stack", "--transcoders", str(workers)) as endpoints:
        client, before = Client(endpoints.web), spending(endpoints)
        uploaded = [client.upload(source)["id"]]
        began = perf_counter()
        uploaded += [client.upload(source)["id"] for _ in range(videos - 1)]
        client.wait(uploaded[0], "playable", "ready")
        trial = {_PLAYABLE.name: perf_counter() - began}
        for video_id in uploaded[1:]:
            client.wait(video_id, "playable", "ready")
        trial[_ALL_PLAYABLE.name] = perf_counter() - began
        for video_id in uploaded:
            client.wait(video_id, "ready", poll_s=_READY_POLL_S)
        spent = spending(endpoints) - before
        trial[_READY.name] = perf_counter() - began
        return {**trial, _TRANSCODING.name: spent.transcoding, _REST.name: spent.rest}


def _one_process(source: Path, work: Path, *, threads: int | None) -> Mapping[str, float]:
    """What the same ladder takes on a machine that runs nothing else."""
    plan, _ = asyncio.run(pieces.plan_for(source, workers=1))
    with tempfile.TemporaryDirectory(dir=work) as folder:
        spent = timed(lambda: asyncio.run(single.encode(source, plan, Path(folder), threads=threads)))
    return {_READY.name: spent[WALL.name], _TRANSCODING.name: spent[CPU.name]}
