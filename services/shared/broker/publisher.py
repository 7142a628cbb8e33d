"""Publishing with the broker's word for it, and within a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from aio_pika import Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import PublishError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from services.shared.broker.declaration import declare, declare_family
from services.shared.broker.envelope import Envelope
from services.shared.broker.faults import translated
from services.shared.broker.link import Link, discard
from services.shared.broker.topology import DEAD, EVENTS, JOBS, RETRY, Topology, is_work_queue
from services.shared.broker.wire import mark, to_message
from services.shared.errors import UnavailableError

_IN_FLIGHT: Final = 64
"""Publishes that wait for their confirmation at a time; further callers queue up here."""


class UnroutableError(UnavailableError):
    """No queue takes this message, and declaring the topology again did not help."""


@dataclass(frozen=True, kw_only=True)
class _Letter:
    """A message with where it goes."""

    exchange: str
    routing_key: str
    message: Message
    work_queue: str | None = None
    """The family of queues that has to exist for it; None: any or no queue may be bound."""

    @property
    def mandatory(self) -> bool:
        return self.exchange != EVENTS

    def __str__(self) -> str:
        return f"Publishing to {self.exchange} as {self.routing_key}"


class Publisher:
    """Sends messages over a connection of its own: an alarm that blocks publishing must not block acks."""

    def __init__(self, link: Link, topology: Topology, *, app_id: str, timeout_s: float) -> None:
        """`timeout_s` bounds each publish, repetitions included."""
        self._link = link
        self._topology = topology
        self._app_id = app_id
        self._timeout_s = timeout_s
        self._channel: AbstractChannel | None = None
        self._declared: set[str] = set()
        self._opening = asyncio.Lock()
        self._room = asyncio.Semaphore(_IN_FLIGHT)

    async def job(self, work_queue: str, envelope: Envelope) -> None:
        """Hand a job to a work queue."""
        await self._publish(JOBS, work_queue, envelope, work_queue)

    async def retry(self, work_queue: str, envelope: Envelope, *, failures: int) -> None:
        """Put a job aside after its `failures`-th failure; it comes back to `work_queue` by itself."""
        retry_queue = self._topology.retry_queue(work_queue, failures=failures)
        await self._publish(RETRY, retry_queue, envelope, work_queue)

    async def dead(self, work_queue: str, envelope: Envelope) -> None:
        """Keep a job that was given up, for people."""
        await self._publish(DEAD, work_queue, envelope, work_queue)

    async def event(self, routing_key: str, envelope: Envelope) -> None:
        """Tell whoever listens, if anybody does."""
        await self._publish(EVENTS, routing_key, envelope, None)

    async def ready(self, *work_queues: str) -> None:
        """Connect, and declare the families of these queues.

        Raises:
            ConflictError: a queue exists with other properties.
            UnavailableError: the broker is away.
        """
        channel = await self._usable_channel()
        for work_queue in work_queues:
            await self._ensure(channel, work_queue)

    async def _publish(
        self, exchange: str, routing_key: str, envelope: Envelope, work_queue: str | None
    ) -> None:
        """Publish and wait for the confirmation, again and again until the time is up.

        A repetition may duplicate a message whose confirmation was lost; handlers expect duplicates.
        """
        known = work_queue if work_queue and is_work_queue(work_queue) else None
        message = to_message(envelope, app_id=self._app_id)
        letter = _Letter(exchange=exchange, routing_key=routing_key, message=message, work_queue=known)
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        attempts = AsyncRetrying(
            stop=stop_after_delay(self._timeout_s),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            retry=retry_if_exception(_is_passing),
            reraise=True,
        )
        async for attempt in attempts:
            with attempt, translated(str(letter)):
                async with asyncio.timeout_at(deadline), self._room:
                    await self._attempt(letter)

    async def _attempt(self, letter: _Letter) -> None:
        channel = await self._usable_channel()
        try:
            await self._send(channel, letter)
        except PublishError:
            # The queue was deleted since it was declared.
            self._declared.discard(letter.work_queue or "")
            await self._send_again(channel, letter)

    async def _send_again(self, channel: AbstractChannel, letter: _Letter) -> None:
        try:
            await self._send(channel, letter)
        except PublishError as error:
            raise UnroutableError(f"{letter}: no queue takes it.") from error

    async def _send(self, channel: AbstractChannel, letter: _Letter) -> None:
        if letter.work_queue:
            await self._ensure(channel, letter.work_queue)
        exchange = await channel.get_exchange(letter.exchange, ensure=False)
        mark(letter.message)
        await exchange.publish(letter.message, letter.routing_key, mandatory=letter.mandatory)

    async def _ensure(self, channel: AbstractChannel, work_queue: str) -> None:
        if work_queue not in self._declared:
            await declare_family(channel, self._topology, work_queue)
            self._declared.add(work_queue)

    async def _usable_channel(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = None
                self._declared.clear()
                self._channel = await self._fresh_channel()
            return self._channel

    async def _fresh_channel(self) -> AbstractChannel:
        channel = await self._link.new_channel(confirms=True)
        try:
            await declare(channel, self._topology)
        except BaseException:
            await discard(channel)
            raise
        return channel


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, UnavailableError) and not isinstance(error, UnroutableError)
