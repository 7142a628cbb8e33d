"""Jobs that overlap at their ends: the next one begins while the last one is wound up.

When the processor's part of a job is over, the rest is waiting for others: disks, acknowledgements, records.
A worker that did nothing meanwhile would lose that time, and the time that the next job takes to get going,
once for every job. So whoever does a job may say that its turn is over, a little before it is.

A job that has come back may have ended the worker that had it, and may do so again. Nobody can tell which of
two jobs did that, and a start without an end counts against both. So what has come back is done alone: a job
shares the fate of another one at most once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from services.shared.broker.delivery import Delivery
from services.shared.broker.envelope import Envelope
from services.shared.broker.waits import first_of


class Turn:
    """A job's turn at its worker. Without a word from the job, it lasts as long as the job."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    def end(self) -> None:
        """Let the next job begin. Saying so twice does nothing."""
        self._over.set()

    async def ended(self) -> None:
        """Wait until the job says that it is over."""
        await self._over.wait()


JobHandler = Callable[[Envelope, Turn], Awaitable[None]]
"""Does a job, as a `Handler` does any message. It may end the turn when what is left is mostly waiting."""

Perform = Callable[[Delivery, Turn], Awaitable[None]]
"""Does a job, settles its message, and raises nothing but cancellation."""


class Hands:
    """The jobs that a worker has in hand: one that has its turn, and at most one that is wound up."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform
        self._jobs: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def busy(cls, perform: Perform) -> AsyncIterator[Hands]:
        """Leaving the context waits for what is in hand; cancelling that, or the body, cancels the jobs."""
        hands = cls(perform)
        try:
            yield hands
        except asyncio.CancelledError:
            hands._cancel()
            raise
        finally:
            await hands._finish(hands._jobs)

    async def take_on(self, delivery: Delivery) -> None:
        """Begin a job; returns when the next one may begin."""
        if delivery.has_come_back:
            await self._finish(self._jobs)
        turn = Turn()
        job = asyncio.ensure_future(self._perform(delivery, turn))
        before = set(self._jobs)
        self._jobs.add(job)
        await first_of(turn.ended(), asyncio.wait({job}))
        alone = job.done() or delivery.has_come_back
        await self._finish(before | ({job} if alone else set()))

    def _cancel(self) -> None:
        for job in self._jobs:
            job.cancel()

    async def _finish(self, jobs: set[asyncio.Task[None]]) -> None:
        if not jobs:
            return
        try:
            await asyncio.wait(jobs)
        except asyncio.CancelledError:
            self._cancel()
            await asyncio.wait(jobs)
            raise
        finally:
            self._jobs = self._jobs - jobs
        for job in jobs:
            if not job.cancelled():
                job.result()
