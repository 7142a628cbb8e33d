"""Jobs for broker tests, and a handler that shows what it does and ends when it is told to."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.shared.broker import Broker, Dead, Envelope, JobConsumer, QueueConsumer, Topology, Turn
from services.shared.messages import BULK_QUEUE, FIRST_QUEUE

SOON = Topology(retry_delays_s=(0.2, 1.0))
"""Retries that do not hold tests up."""

_FINISH_DEADLINE_S = 60.0


def job(name: str, *, title: str = "My video", video: str = "v1") -> Envelope:
    """A job that asks for `name`."""
    return Envelope(type="transcode.piece", body=b"{}", message_id=name, correlation_id=video, title=title)


class Workshop:
    """A handler. It finishes each job at once, unless it was told to `hold` or to `fail` it."""

    def __init__(self) -> None:
        self.started: list[Envelope] = []
        self.finished: list[str] = []
        self.cancelled: list[str] = []
        self.buried: list[tuple[str, str]] = []
        self.controls: list[Envelope] = []
        self._gates: dict[str, asyncio.Event] = {}
        self._failures: dict[str, list[Exception]] = defaultdict(list)
        self._winding_up: set[str] = set()

    @property
    def begun(self) -> list[str]:
        """The ids of the jobs in the order in which they were taken."""
        return [envelope.message_id for envelope in self.started]

    def hold(self, *names: str) -> None:
        """Do not finish these until `release`."""
        for name in names:
            self._gates[name] = asyncio.Event()

    def hold_winding_up(self, *names: str) -> None:
        """Do not finish these until `release`; but the next job may begin before."""
        self.hold(*names)
        self._winding_up.update(names)

    def release(self, *names: str) -> None:
        """Finish these (all that are held, if none is named)."""
        for name in names or tuple(self._gates):
            self._gates[name].set()

    def fail(self, name: str, *errors: Exception) -> None:
        """Let the next attempts at a job end so."""
        self._failures[name].extend(errors)

    async def handle(self, envelope: Envelope, turn: Turn | None = None) -> None:
        """Do a job."""
        name = envelope.message_id
        self.started.append(envelope)
        if turn and name in self._winding_up:
            turn.end()
        try:
            if gate := self._gates.get(name):
                await gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        if self._failures[name]:
            raise self._failures[name].pop(0)
        self.finished.append(name)

    async def on_dead(self, envelope: Envelope, why: Dead) -> None:
        """Hear that a job was given up."""
        self.buried.append((envelope.message_id, why.reason))

    async def on_control(self, envelope: Envelope) -> None:
        """Hear a control event."""
        self.controls.append(envelope)


@asynccontextmanager
async def connected(
    url: str, *, instance: str = "worker-1", topology: Topology = SOON, **options: float
) -> AsyncIterator[Broker]:
    """A broker client of a transcoder."""
    async with Broker.connect(
        url, app_id="transcoder", instance=instance, topology=topology, **options
    ) as broker:
        yield broker


@asynccontextmanager
async def running(consumer: JobConsumer | QueueConsumer) -> AsyncIterator[asyncio.Task[None]]:
    """A consumer at work during the body; afterwards it is stopped in order."""
    stop = asyncio.Event()
    task = asyncio.create_task(consumer.run(stop))
    try:
        yield task
    except BaseException:
        task.cancel()
        await asyncio.wait([task])
        raise
    stop.set()
    await asyncio.wait([task], timeout=_FINISH_DEADLINE_S)
    assert task.done(), "the consumer does not stop"
    if not task.cancelled():
        await task


@asynccontextmanager
async def worker(
    url: str,
    workshop: Workshop,
    *,
    instance: str = "worker-1",
    queues: Sequence[str] = (FIRST_QUEUE, BULK_QUEUE),
    **options: float,
) -> AsyncIterator[asyncio.Task[None]]:
    """A transcoder worker with its own connections; from two queues, as four take twice as long to make."""
    async with connected(url, instance=instance) as broker:
        consumer = JobConsumer(
            broker,
            handle=workshop.handle,
            on_dead=workshop.on_dead,
            on_control=workshop.on_control,
            queues=queues,
            **options,  # type: ignore[arg-type]
        )
        async with running(consumer) as task:
            yield task
