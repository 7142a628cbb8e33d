"""What 1,000 workers would wait for: a model, fed with what operations cost and how many a task takes.

Nobody here has a thousand machines. What can be measured on one is what a task asks of the parts that all
workers share, and what that costs them; queueing theory does the rest. How many workers one video can keep
busy is another question: its own pieces, in the order of its plan, are handed out in a simulation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final

from bench import footage
from bench.measure import Metric, Row
from bench.prices import Prices, prices
from bench.queueing import flow, knee
from bench.schedule import makespan_s
from bench.stack import Client, stack
from bench.usage import usage
from services.local.endpoints import Endpoints
from services.shared.plan import Plan, Rational
from services.shared.task import Task, TaskKind
from services.transcoder.source import AudioFacts, KeyFrame, SourceInfo, VideoFacts
from services.transcoder.timeline import make_plan, make_tasks

_DURATION_S: Final = 120
_QUICK_DURATION_S: Final = 20
_FLEETS: Final = (10, 100, 1_000, 10_000)
_PIECE_S: Final = 16
"""Pieces of long videos are so long."""
_FILMS_S: Final = {"10 min of 1080p": 600, "2 h of 1080p": 7200}
_CREWS: Final = (2, 10, 100, 1_000)
_FPS: Final = 25
_KEY_FRAMES_S: Final = 2

_CONSTANTS: Final = {
    "etcd_reads": Metric(name="reads from etcd", unit="a task", digits=1),
    "etcd_writes": Metric(name="writes to etcd", unit="a task", digits=1),
    "etcd_sent_bytes": Metric(name="sent by etcd", unit="bytes a task", digits=0),
    "stored_bytes": Metric(name="stored, of one copy", unit="bytes a task", digits=0),
    "storage_cpu_s": Metric(name="CPU of all storage nodes", unit="s a task", digits=3),
    "between_s": Metric(name="worker, between two tasks", unit="s", digits=3),
    "piece_speed": Metric(name="worker, encodes", unit="s of video a s"),
    "sound_speed": Metric(name="worker, encodes sound", unit="s of sound a s", digits=0),
    "etcd_read": Metric(name="etcd's busiest member, a read", unit="ms", digits=3),
    "etcd_write": Metric(name="etcd's busiest member, a write", unit="ms", digits=3),
    "job_rabbitmq": Metric(name="RabbitMQ, a job and its news", unit="ms", digits=2),
    "job_web": Metric(name="a web process, news of a job", unit="ms", digits=2),
}
_MILLISECONDS: Final = frozenset({"etcd_read", "etcd_write", "job_rabbitmq", "job_web"})
_EFFICIENCY: Final = Metric(name="as fast as so many without waiting", unit="%", digits=1)
_NODES: Final = Metric(name="cores that storage nodes keep busy", unit="all together", digits=1)
_KNEE: Final = Metric(name="more workers bring nothing from", unit="workers", digits=0)
_SPEED_UP: Final = Metric(name="faster than by one worker", unit="times", digits=1)
_MODEL: Final = "model"


def run(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Measure the constants, then calculate."""
    source = footage.bunny(work, duration_s=_QUICK_DURATION_S if quick else _DURATION_S)
    used, priced = [], []
    for _ in range(rounds):
        with stack(work / "stack", "--transcoders", "1") as endpoints:
            used.append(usage(endpoints, source))
        with stack(work / "stack", "--transcoders", "0") as endpoints:
            priced.append(_prices(endpoints, source))
    found = [{**asdict(a), **asdict(b)} for a, b in zip(used, priced, strict=True)]
    yield from _constants(found)
    middle = {name: median(each[name] for each in found) for name in found[0]}
    yield from _fleets(middle)
    for title, duration_s in _FILMS_S.items():
        yield from _one_film(title, duration_s, middle)


def _prices(endpoints: Endpoints, source: Path) -> Prices:
    return asyncio.run(prices(endpoints, Client(endpoints.web).upload(source)["id"]))


def _constants(found: list[dict[str, float]]) -> Iterator[Row]:
    for name, metric in _CONSTANTS.items():
        factor = 1000 if name in _MILLISECONDS else 1
        values = tuple(each[name] * factor for each in found)
        yield _row("measured", metric, "TritonTube", *values)


def _row(subject: str, metric: Metric, variant: str, *values: float) -> Row:
    return Row(subject=subject, metric=metric, variant=variant, values=values, against=())


def _fleets(constants: Mapping[str, float]) -> Iterator[Row]:
    """Many videos, so that there is always a piece for everybody."""
    demands_s = _demands_s(constants)
    think_s = _PIECE_S / constants["piece_speed"] + constants["between_s"]
    flows = {f"{size:,} workers": flow(demands_s, think_s=think_s, customers=size) for size in _FLEETS}
    subject = f"fleet, pieces of {_PIECE_S} s"
    for name, demand_s in demands_s.items():
        for variant, steady in flows.items():
            metric = Metric(name=f"{name} busy", unit="% of a core", digits=1)
            yield _row(subject, metric, variant, 100 * steady.rounds_per_s * demand_s)
    for size, (variant, steady) in zip(_FLEETS, flows.items(), strict=True):
        yield _row(subject, _EFFICIENCY, variant, 100 * steady.rounds_per_s * think_s / size)
    for variant, steady in flows.items():
        yield _row(subject, _NODES, variant, steady.rounds_per_s * constants["storage_cpu_s"])
    yield _row(subject, _KNEE, _MODEL, knee(demands_s, think_s=think_s))


def _demands_s(constants: Mapping[str, float]) -> dict[str, float]:
    """How long a task occupies each part that there is only one of.

    One core each: etcd and RabbitMQ use more, but a cluster's order of writes and a queue's order of
    messages are each made by one of their threads.
    """
    reads_s = constants["etcd_reads"] * constants["etcd_read"]
    writes_s = constants["etcd_writes"] * constants["etcd_write"]
    return {
        "etcd's leader": reads_s + writes_s,
        "RabbitMQ": constants["job_rabbitmq"],
        "each web process": constants["job_web"],
    }


def _one_film(title: str, duration_s: int, constants: Mapping[str, float]) -> Iterator[Row]:
    """One video, which has only so many pieces."""
    alone_s = _film_s(duration_s, 1, constants)
    for crew in _CREWS:
        yield _row(title, _SPEED_UP, f"{crew:,} workers", alone_s / _film_s(duration_s, crew, constants))


def _film_s(duration_s: int, workers: int, constants: Mapping[str, float]) -> float:
    video = _film(duration_s)
    sounds = (AudioFacts(index=0, codec="aac", channels=2, language="und"),)
    info = SourceInfo(format_name="mov", video=video, audio=sounds)
    plan = make_plan(info, generation=0, encoder="bench")
    tasks = make_tasks(plan, video, workers=workers)
    return makespan_s([_task_s(plan, task, constants) for task in tasks], workers=workers)


def _film(duration_s: int) -> VideoFacts:
    ticks = range(0, duration_s * 1000, _KEY_FRAMES_S * 1000)
    return VideoFacts(
        codec="h264",
        width=1920,
        height=1080,
        time_base=Rational(num=1, den=1000),
        start=0,
        end=duration_s * 1000,
        packets=duration_s * _FPS,
        typical_gap=1000 // _FPS,
        key_frames=tuple(KeyFrame(pts=at, dts=at) for at in ticks),
    )


def _task_s(plan: Plan, task: Task, constants: Mapping[str, float]) -> float:
    """How long a task keeps a worker, the way to the next one included."""
    return constants["between_s"] + _work_s(plan, task, constants)


def _work_s(plan: Plan, task: Task, constants: Mapping[str, float]) -> float:
    if task.kind is TaskKind.AUDIO:
        return plan.duration_s / constants["sound_speed"]
    if task.piece is None:
        return 0.0
    pixels = {rendition.name: rendition.width * rendition.height for rendition in plan.renditions}
    share = sum(pixels[name] for name in task.piece.renditions) / sum(pixels.values())
    end = plan.frames if task.piece.end_frame is None else task.piece.end_frame
    seconds = (end - task.piece.first_frame) * plan.fps.den / plan.fps.num
    return share * seconds / constants["piece_speed"]
