"""A consumer of one work queue, several messages at a time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from services.shared.broker.broker import Broker
from services.shared.broker.declaration import declare
from services.shared.broker.delivery import Delivery
from services.shared.broker.faults import rpc
from services.shared.broker.intake import PATIENCE_S
from services.shared.broker.labels import consumer_tag
from services.shared.broker.link import consumer_loss
from services.shared.broker.waits import first_of
from services.shared.broker.work import GiveUp, Handler, Work, no_mourning
from services.shared.errors import UnavailableError
from services.shared.lifecycle import heed_cancellation
from services.shared.refrain import Refrain

log = logging.getLogger(__name__)

_RECONNECT_S: Final = 1.0


class QueueConsumer:
    """Consumes one work queue until it is stopped. How `handle` ends settles the message: see `Work`."""

    def __init__(
        self,
        broker: Broker,
        queue: str,
        *,
        handle: Handler,
        on_dead: GiveUp = no_mourning,
        prefetch: int = 1,
        max_attempts: int = 5,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Set up a consumer; nothing happens before `run`.

        Args:
            broker: where messages come from.
            queue: the work queue; made if it does not exist.
            handle: does a job. Cancelled when the job is no longer ours.
            on_dead: told when a job is given up, with the reason.
            prefetch: how many are handled at a time.
            max_attempts: a job that failed so often is given up.
            patience_s: how long a consumer is trusted to which nothing comes.
        """
        self._broker = broker
        self._queue = queue
        self._work = Work(
            handle=handle, on_dead=on_dead, publisher=broker.publisher, max_attempts=max_attempts
        )
        self._prefetch = prefetch
        self._patience_s = patience_s
        self._silence = Refrain(log)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set and everything at hand is finished.

        Cancel it when that takes too long: what runs is cancelled and handed back to the queue.

        Raises:
            ConflictError: the queue exists with other properties.
        """
        while not stop.is_set():
            try:
                await self._consume(stop)
            except* UnavailableError as errors:
                heed_cancellation()
                self._silence.say(f"nothing from {self._queue} for now, trying again: {errors.exceptions[0]}")
                await first_of(stop.wait(), timeout_s=_RECONNECT_S)

    async def _consume(self, stop: asyncio.Event) -> None:
        """Consume on one channel until nothing more comes, or `stop` is set.

        Raises:
            UnavailableError: the channel is lost; what was being handled was cancelled.
        """
        async with (
            self._broker.consuming.channel(prefetch=self._prefetch) as channel,
            asyncio.TaskGroup() as group,
        ):
            await declare(channel, self._broker.topology, [self._queue])
            shift = _Shift(self._work, channel, group, self._queue)
            await self._serve(channel, shift, stop)

    async def _serve(self, channel: AbstractChannel, shift: _Shift, stop: asyncio.Event) -> None:
        tag = consumer_tag(self._broker.instance, f"consumes {self._queue}")
        async with rpc(f"Consuming {self._queue}"):
            queue = await channel.get_queue(self._queue, ensure=False)
            lost = await consumer_loss(channel)
            await queue.consume(shift.take_on, consumer_tag=tag)
        self._silence.end(f"consuming {self._queue} again")
        try:
            while shift.worth_going_on() and not (stop.is_set() or lost.is_set() or channel.is_closed):
                await first_of(stop.wait(), lost.wait(), channel.closed(), timeout_s=self._patience_s)
        except asyncio.CancelledError:
            with suppress(UnavailableError):
                await self._leave(queue, tag, shift)
            raise
        await self._leave(queue, tag, shift)

    async def _leave(self, queue: AbstractQueue, tag: str, shift: _Shift) -> None:
        """Stop consuming, before anything is handed back: it would come straight to us again."""
        async with rpc(f"Leaving {self._queue}"):
            await queue.cancel(tag)
        shift.over = True


class _Shift:
    """What is taken on one channel."""

    def __init__(self, work: Work, channel: AbstractChannel, group: asyncio.TaskGroup, queue: str) -> None:
        self.over = False
        self._work = work
        self._channel = channel
        self._group = group
        self._queue = queue
        self._at_hand = 0
        self._quiet = False

    async def take_on(self, message: AbstractIncomingMessage) -> None:
        """Start a handler: not in this callback, which the client would cancel without waiting for it."""
        delivery = Delivery(message, self._channel, self._queue, self._work.publisher)
        if self.over:
            await delivery.hand_back()
            return
        self._quiet = False
        self._at_hand += 1
        self._group.create_task(self._work.perform(delivery)).add_done_callback(self._done)

    def worth_going_on(self) -> bool:
        """Whether anything has been going on since the last call, or could yet begin."""
        was_quiet, self._quiet = self._quiet, True
        return self._at_hand > 0 or not was_quiet

    def _done(self, _task: asyncio.Task[None]) -> None:
        self._quiet = False
        self._at_hand -= 1
