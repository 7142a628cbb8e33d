"""What one operation costs the servers that all workers share, measured under load on a real stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final

from bench.processes import cpu_s
from services.local.endpoints import Endpoints
from services.shared.broker import Broker, Envelope, JobConsumer, Turn
from services.shared.catalog import Catalog
from services.shared.dispatch import Dispatcher
from services.shared.etcd import EtcdClient, absent, put_op
from services.shared.messages import BULK_QUEUE, MessageType
from services.shared.video import Video, new_video_id

_AT_ONCE: Final = 16
_CONSUMERS: Final = 4
_OPERATIONS: Final = 3000
_JOBS: Final = 300
_RECORD_BYTES: Final = 1000
"""About what a task's record has."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Processor time in seconds of the busiest process."""

    etcd_read: float
    etcd_write: float
    job_rabbitmq: float
    """A job's way through the broker: published, taken, shown, settled, and news of it sent."""
    job_web: float
    """What a web process does about that news."""


async def prices(stack: Endpoints, video_id: str) -> Prices:
    """Measure on a stack without workers.

    Args:
        stack: the stack.
        video_id: of a video, which the news are about. Its own jobs are thrown away.
    """
    async with EtcdClient.connect([member.client for member in stack.etcd]) as etcd:
        members = [member.pid for member in stack.etcd if member.pid]
        name = f"bench/{new_video_id()}/"
        write = await _price(members, _OPERATIONS, partial(_write, etcd, name))
        read = await _price(members, _OPERATIONS, lambda number: etcd.get(f"{name}{number}"))
        video = await Catalog(etcd).get(video_id)
    rabbitmq, web = await _jobs(stack, video)
    return Prices(etcd_read=read, etcd_write=write, job_rabbitmq=rabbitmq, job_web=web)


async def _price(pids: Sequence[int], operations: int, operate: Callable[[int], Awaitable[object]]) -> float:
    """Seconds of the busiest of some processes for each of many operations, several at a time."""
    before = [cpu_s([pid]) for pid in pids]
    numbers = iter(range(operations))

    async def work() -> None:
        for number in numbers:
            await operate(number)

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return max(cpu_s([pid]) - spent for pid, spent in zip(pids, before, strict=True)) / operations


async def _write(etcd: EtcdClient, name: str, number: int) -> None:
    key = f"{name}{number}"
    await etcd.txn([absent(key)], [put_op(key, b"x" * _RECORD_BYTES)])


async def _jobs(stack: Endpoints, video: Video) -> tuple[float, float]:
    """Processor time of the broker and of a web process for one job."""
    async with _brokers(stack) as brokers:
        servers = [[stack.rabbitmq.pid or 0], [stack.webs[0].pid or 0]]
        await _pass_through(brokers, video, jobs=_CONSUMERS)  # what was waiting, and what comes only once
        before = [cpu_s(pids) for pids in servers]
        await _pass_through(brokers, video, jobs=_JOBS)
        rabbitmq, web = ((cpu_s(pids) - spent) / _JOBS for pids, spent in zip(servers, before, strict=True))
    return rabbitmq, web


@asynccontextmanager
async def _brokers(stack: Endpoints) -> AsyncIterator[list[Broker]]:
    async with AsyncExitStack() as opened:
        yield [
            await opened.enter_async_context(
                Broker.connect(stack.rabbitmq.amqp, app_id="transcoder", instance=f"bench-{number}")
            )
            for number in range(_CONSUMERS)
        ]


async def _pass_through(brokers: Sequence[Broker], video: Video, *, jobs: int) -> None:
    """Have jobs done by workers that do nothing but take them and tell of it."""
    stop, done = asyncio.Event(), count(1)

    async def handle(broker: Broker, envelope: Envelope, _turn: Turn) -> None:
        if envelope.type == MessageType.PIECE:
            await Dispatcher(broker).news(video, what="progress")
            if next(done) == jobs:
                stop.set()

    for number in range(jobs):
        await brokers[0].publish_job(BULK_QUEUE, _job(video, number))
    async with asyncio.TaskGroup() as group:
        for broker in brokers:
            group.create_task(JobConsumer(broker, handle=partial(handle, broker)).run(stop))


def _job(video: Video, number: int) -> Envelope:
    return Envelope(
        type=MessageType.PIECE,
        body=b"{}",
        message_id=f"{video.id}.bench.{number}",
        correlation_id=video.id,
        title=video.title,
    )
