"""Taking one job: from the preferred queue if it has any, else from the next, else whatever comes first.

A worker that is busy must not hold a second message: it would wait for minutes while an idle worker could
do it. Prefetch cannot express that (0 is unlimited, and 1 fetches the next message as soon as nothing is
unsettled, before the worker has chosen between the queues). So jobs are fetched one by one, and consumers
exist only while the worker is idle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from services.shared.broker.delivery import Delivery
from services.shared.broker.faults import rpc
from services.shared.broker.labels import consumer_tag
from services.shared.broker.link import consumer_loss
from services.shared.broker.publisher import Publisher
from services.shared.broker.waits import first_of

PATIENCE_S: Final = 20.0
"""How long consumers to which nothing comes are trusted; then it is time for a new channel.

RabbitMQ 4.3 drops the consumers of a queue that timed out. 3.10, when a queue is deleted and declared again
at once, neither cancels its consumers nor serves them: it shows them as alive, and lends them messages that
never arrive. Only closing the channel brings those back.
"""


class _Inbox:
    """What consumers bring while we wait. What comes when the wait is over goes straight back."""

    def __init__(self, channel: AbstractChannel, publisher: Publisher) -> None:
        self._channel = channel
        self._publisher = publisher
        self._brought: list[Delivery] | None = []
        self.filled = asyncio.Event()

    async def bring(self, queue: str, message: AbstractIncomingMessage) -> None:
        delivery = Delivery(message, self._channel, queue, self._publisher)
        if self._brought is None:
            await delivery.hand_back()
            return
        self._brought.append(delivery)
        self.filled.set()

    def close(self) -> list[Delivery]:
        brought, self._brought = self._brought or [], None
        return brought


class Intake:
    """Takes jobs on one channel, whose prefetch count is 1."""

    def __init__(
        self,
        channel: AbstractChannel,
        queues: Sequence[AbstractQueue],
        lost: asyncio.Event,
        *,
        publisher: Publisher,
        instance: str,
        patience_s: float,
    ) -> None:
        self._channel = channel
        self._queues = queues
        self._lost = lost
        self._publisher = publisher
        self._instance = instance
        self._patience_s = patience_s

    @classmethod
    async def open(
        cls,
        channel: AbstractChannel,
        queues: Sequence[str],
        *,
        publisher: Publisher,
        instance: str,
        patience_s: float,
    ) -> Intake:
        """Prepare to take from `queues`, the preferred one first."""
        async with rpc("Taking jobs"):
            found = [await channel.get_queue(name, ensure=False) for name in queues]
            lost = await consumer_loss(channel)
        return cls(channel, found, lost, publisher=publisher, instance=instance, patience_s=patience_s)

    async def take(self, stop: asyncio.Event) -> Delivery | None:
        """The next job; None if `stop` was set, or the channel is no longer worth waiting on.

        Raises:
            UnavailableError: the channel, or one of the queues, is gone.
        """
        for queue in self._queues:
            async with rpc(f"Taking a job from {queue.name}"):
                message = await queue.get(fail=False, timeout=None)
            if message:
                return Delivery(message, self._channel, queue.name, self._publisher)
        return await self._wait(stop)

    async def _wait(self, stop: asyncio.Event) -> Delivery | None:
        inbox = _Inbox(self._channel, self._publisher)
        async with rpc("Waiting for jobs"):
            tags = [await self._consume(queue, inbox) for queue in self._queues]
        await first_of(
            inbox.filled.wait(),
            self._lost.wait(),
            self._channel.closed(),
            stop.wait(),
            timeout_s=self._patience_s,
        )
        async with rpc("Waiting for jobs no longer"):
            for queue, tag in zip(self._queues, tags, strict=True):
                await queue.cancel(tag)
        return await self._choose(inbox.close(), stop)

    async def _consume(self, queue: AbstractQueue, inbox: _Inbox) -> str:
        tag = consumer_tag(self._instance, f"idle, waits for {queue.name}")
        return await queue.consume(partial(inbox.bring, queue.name), consumer_tag=tag)

    async def _choose(self, brought: list[Delivery], stop: asyncio.Event) -> Delivery | None:
        """Keep the most urgent one; each queue may have brought one before it heard that we have enough."""
        rank = [queue.name for queue in self._queues]
        brought.sort(key=lambda delivery: rank.index(delivery.queue))
        kept = 0 if stop.is_set() else 1
        for surplus in brought[kept:]:
            await surplus.hand_back()
        return brought[0] if brought and kept else None
