"""Listening to events with a queue of one's own, which is gone when its owner is gone.

News only: what is published while the connection is away is not heard. Whoever needs the truth reads it
in etcd, and is told here when it has to.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from services.shared.broker.declaration import declare
from services.shared.broker.envelope import Envelope
from services.shared.broker.faults import rpc
from services.shared.broker.labels import consumer_tag
from services.shared.broker.link import Link, consumer_loss
from services.shared.broker.topology import EVENTS, Topology
from services.shared.broker.waits import first_of
from services.shared.broker.wire import from_message
from services.shared.errors import UnavailableError
from services.shared.refrain import Refrain

log = logging.getLogger(__name__)

_MAX_WAITING: Final = 1_000
_RECONNECT_S: Final = 1.0


class Backlog:
    """Events that wait for their reader; when there are too many, the oldest are dropped."""

    def __init__(self, *, limit: int = _MAX_WAITING) -> None:
        self._waiting: deque[Envelope] = deque(maxlen=limit)
        self._filled = asyncio.Event()
        self.dropped = 0

    def put(self, envelope: Envelope) -> bool:
        """Add one; False if an older one had to go."""
        full = len(self._waiting) == self._waiting.maxlen
        self.dropped += full
        self._waiting.append(envelope)
        self._filled.set()
        return not full

    async def get(self) -> Envelope:
        """Wait for the oldest."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.popleft()


class Subscription:
    """An exclusive queue bound to patterns of events, made again whenever it is lost."""

    def __init__(
        self,
        link: Link,
        topology: Topology,
        *,
        queue: str,
        patterns: Sequence[str],
        instance: str,
        purpose: str,
        liveness_s: float,
        on_missed: Callable[[], None] = lambda: None,
    ) -> None:
        """`purpose` is shown as the consumer's tag; `on_missed` is called when events may have been lost."""
        self.backlog = Backlog()
        self.bound = asyncio.Event()
        """Set once the queue is bound for the first time: nothing that is published from then on is missed
        for any other reason than a lost connection or a slow reader."""
        self._link = link
        self._topology = topology
        self._queue = queue
        self._patterns = patterns
        self._instance = instance
        self._purpose = purpose
        self._liveness_s = liveness_s
        self._on_missed = on_missed
        self._silence = Refrain(log)
        self._renamed = asyncio.Event()

    def rename(self, purpose: str) -> None:
        """Show something else in the broker's UI from now on."""
        self._purpose = purpose
        self._renamed.set()

    async def run(self) -> None:
        """Listen for ever."""
        while True:
            try:
                await self._listen()
            except UnavailableError as error:
                self._silence.say(f"{self._queue} hears nothing for now, trying again: {error}")
            await asyncio.sleep(_RECONNECT_S)

    async def _listen(self) -> None:
        """Listen until the connection, the queue or the consumer is lost, which raises."""
        async with self._link.channel() as channel:
            await declare(channel, self._topology)
            queue, lost = await self._declare(channel)
            if self.bound.is_set():
                self._on_missed()
            self.bound.set()
            self._silence.end(f"{self._queue} listens again")
            await self._consume(channel, queue, lost)

    async def _declare(self, channel: AbstractChannel) -> tuple[AbstractQueue, asyncio.Event]:
        async with rpc(f"Declaring {self._queue}"):
            lost = await consumer_loss(channel)
            queue = await channel.declare_queue(self._queue, durable=True, exclusive=True, auto_delete=True)
            for pattern in self._patterns:
                await queue.bind(EVENTS, pattern)
        return queue, lost

    async def _consume(self, channel: AbstractChannel, queue: AbstractQueue, lost: asyncio.Event) -> None:
        tag = ""
        while not lost.is_set():
            self._renamed.clear()
            tag = await self._show(queue, tag)
            await first_of(self._renamed.wait(), lost.wait(), channel.closed(), timeout_s=self._liveness_s)
            await self._check(queue)

    async def _show(self, queue: AbstractQueue, old: str) -> str:
        """Consume under the tag of the present purpose.

        The new consumer comes before the old one goes: without any, the queue would delete itself.
        """
        tag = consumer_tag(self._instance, self._purpose)
        if tag == old:
            return old
        async with rpc(f"Listening on {self._queue}"):
            await queue.consume(self._receive, no_ack=True, consumer_tag=tag)
            if old:
                await queue.cancel(old)
        return tag

    async def _check(self, queue: AbstractQueue) -> None:
        """Ask the broker whether it still knows our consumer."""
        async with rpc(f"Checking {self._queue}"):
            known = await queue.declare()
        if not known.consumer_count:
            raise UnavailableError(f"The broker has lost the consumer of {self._queue}.")

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        if not self.backlog.put(from_message(message, queue=self._queue)):
            self._on_missed()
