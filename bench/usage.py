"""What one task asks of everything that workers share, counted while a real stack encodes a video.

What follows when the video is ready, looking at it once as a whole, is not counted.
"""

from __future__ import annotations

import asyncio
import re
import urllib.request
from contextlib import aclosing
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import mean
from time import perf_counter, sleep
from typing import Final

from bench.spending import spending
from bench.stack import Client
from services.local.endpoints import Endpoints
from services.shared.catalog import Catalog, WorkBook, keys
from services.shared.etcd import EtcdClient
from services.shared.plan import Plan
from services.shared.task import Task

_IDLE_S: Final = 15.0
_POLL_S: Final = 1.0
_COUNTED: Final = re.compile(r"^(\w+)(?:\{(.*)\})? ([\d.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class _Counters:
    """Totals since the stack began; reading them once more adds next to nothing."""

    etcd_reads: float
    etcd_writes: float
    etcd_sent_bytes: float
    storage_cpu_s: float
    encoders_cpu_s: float

    def __sub__(self, other: _Counters) -> _Counters:
        return _Counters(
            **{part.name: getattr(self, part.name) - getattr(other, part.name) for part in fields(self)}
        )

    def scaled(self, factor: float) -> _Counters:
        return _Counters(**{part.name: getattr(self, part.name) * factor for part in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Per task of a video, unless said otherwise."""

    tasks: int
    etcd_reads: float
    etcd_writes: float
    etcd_sent_bytes: float
    storage_cpu_s: float
    """Of all storage nodes together."""
    stored_bytes: float
    """Of one copy."""
    between_s: float
    """From the end of one task to the beginning of the next; planning counts as a task without duration."""
    piece_speed: float
    """Seconds of video that one core encodes in a second, in all renditions."""
    sound_speed: float
    """Seconds of sound, likewise."""


def usage(stack: Endpoints, source: Path) -> Usage:
    """Have a stack with one worker encode a video, and count.

    Raises:
        RuntimeError: the video failed.
    """
    client, before = Client(stack.web), _counters(stack)
    video_id = client.upload(source)["id"]
    began = perf_counter()
    client.wait(video_id, "ready", poll_s=_POLL_S)
    wall_s = perf_counter() - began
    after = _counters(stack)
    plan, tasks = asyncio.run(_records(stack, video_id))
    return _per_task(plan, tasks, after - before - _idling(stack).scaled(wall_s), wall_s)


def _idling(stack: Endpoints) -> _Counters:
    """What happens in a second in which there is nothing to do."""
    before = _counters(stack)
    sleep(_IDLE_S)
    return (_counters(stack) - before).scaled(1 / _IDLE_S)


async def _records(stack: Endpoints, video_id: str) -> tuple[Plan, list[Task]]:
    """A video's plan and tasks, once the stack has nothing to do about it any more."""
    async with EtcdClient.connect([member.client for member in stack.etcd]) as etcd:
        await _verified(etcd, video_id)
        book = WorkBook(etcd)
        plan = await book.plan(video_id, 0)
        assert plan is not None
        return plan, await book.tasks(video_id, 0)


async def _verified(etcd: EtcdClient, video_id: str) -> None:
    catalog = Catalog(etcd)
    async with aclosing(etcd.follow(keys.video(video_id))) as changes:
        async for _ in changes:
            if (await catalog.get(video_id)).verdict is not None:
                return


def _per_task(plan: Plan, tasks: list[Task], spent: _Counters, wall_s: float) -> Usage:
    results = [task.result for task in tasks if task.result]
    stored = sum(track.size_bytes for result in results for track in result.tracks.values())
    busy_s = sum(result.elapsed_s for result in results)
    # What else runs on the machine makes a task take longer, but no more of a core.
    delay = busy_s / spent.encoders_cpu_s
    each = spent.scaled(1 / len(tasks))
    return Usage(
        tasks=len(tasks),
        etcd_reads=each.etcd_reads,
        etcd_writes=each.etcd_writes,
        etcd_sent_bytes=each.etcd_sent_bytes,
        storage_cpu_s=each.storage_cpu_s,
        stored_bytes=stored / len(tasks),
        between_s=(wall_s - busy_s) / (len(tasks) + 1),
        piece_speed=delay * mean(_speed(plan, task) for task in tasks if task.piece and not task.urgent),
        sound_speed=delay * _sound_speed(plan, tasks),
    )


def _speed(plan: Plan, task: Task) -> float:
    assert task.result is not None
    return task.result.frames * plan.fps.den / plan.fps.num / task.result.elapsed_s


def _sound_speed(plan: Plan, tasks: list[Task]) -> float:
    return plan.duration_s / sum(task.result.elapsed_s for task in tasks if task.audio and task.result)


def _counters(stack: Endpoints) -> _Counters:
    members, spent = [_metrics(member.client) for member in stack.etcd], spending(stack)
    return _Counters(
        etcd_reads=sum(_handled(member, "Range") for member in members),
        # Every member applies every write; the one that is furthest tells how many there were.
        etcd_writes=max(_total(member, "etcd_server_proposals_applied_total") for member in members),
        etcd_sent_bytes=sum(
            _total(member, "etcd_network_client_grpc_sent_bytes_total") for member in members
        ),
        storage_cpu_s=spent.storage,
        encoders_cpu_s=spent.encoders,
    )


_Metrics = list[tuple[str, str, float]]
"""Name, labels, value."""


def _metrics(address: str) -> _Metrics:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return [(name, labels, float(value)) for name, labels, value in _COUNTED.findall(text)]


def _handled(member: _Metrics, method: str) -> float:
    wanted = f'grpc_method="{method}",grpc_service="etcdserverpb.KV"'
    return sum(
        value for name, labels, value in member if name == "grpc_server_handled_total" and wanted in labels
    )


def _total(member: _Metrics, wanted: str) -> float:
    return sum(value for name, _, value in member if name == wanted)
