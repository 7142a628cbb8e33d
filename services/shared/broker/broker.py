"""The broker as a service sees it: one object, opened once in its composition root."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aio_pika.exceptions import ChannelNotFoundEntity
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random

from services.shared.broker.dead_letters import DeadLetters
from services.shared.broker.envelope import Envelope
from services.shared.broker.faults import rpc
from services.shared.broker.labels import connection_name
from services.shared.broker.link import Link
from services.shared.broker.publisher import Publisher
from services.shared.broker.subscription import Subscription
from services.shared.broker.topology import Topology
from services.shared.errors import UnavailableError
from services.shared.lifecycle import background
from services.shared.messages import BULK_QUEUE, FIRST_QUEUE

_TOPOLOGY: Final = Topology()


class Broker:
    """Publishing, listening and looking. Jobs are consumed with `JobConsumer` or `QueueConsumer`."""

    def __init__(
        self,
        url: str,
        *,
        app_id: str,
        instance: str,
        topology: Topology,
        publish_timeout_s: float,
        liveness_s: float,
    ) -> None:
        """Use `connect`."""
        self.instance = instance
        self.topology = topology
        # Two connections: the broker stops reading from those that publish when it runs out of memory or
        # disk, and acknowledgements, which would free some, must not be stuck behind that.
        self.consuming = Link(url, name=connection_name(app_id, instance))
        self.publishing = Link(url, name=connection_name(app_id, instance, "publishing"))
        self.publisher = Publisher(self.publishing, topology, app_id=app_id, timeout_s=publish_timeout_s)
        self.dead_letters = DeadLetters(self.consuming, self.publisher, topology)
        self._liveness_s = liveness_s

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        *,
        app_id: str,
        instance: str,
        topology: Topology = _TOPOLOGY,
        connect_timeout_s: float | None = 60.0,
        publish_timeout_s: float = 10.0,
        liveness_s: float = 20.0,
    ) -> AsyncIterator[Broker]:
        """Connect and declare the transcoding queues; afterwards lost connections are opened again.

        Args:
            url: `amqp://user:password@host:port/vhost`; `amqps` for TLS.
            app_id: the service, `transcoder`.
            instance: this process, `worker-ab12`; unique. Both are what people see in the broker's UI.
            topology: how long retries wait.
            connect_timeout_s: how long to wait for a broker that is not up yet; None: connect when needed.
            publish_timeout_s: how long any publish may take, repetitions included.
            liveness_s: how often the broker is asked whether it still knows our listeners.

        Raises:
            ConflictError: a queue exists with other properties.
            UnavailableError: no connection in time.
        """
        broker = cls(
            url,
            app_id=app_id,
            instance=instance,
            topology=topology,
            publish_timeout_s=publish_timeout_s,
            liveness_s=liveness_s,
        )
        try:
            if connect_timeout_s is not None:
                await broker._open(connect_timeout_s)
            yield broker
        finally:
            await broker.consuming.close()
            await broker.publishing.close()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to publish on, as far as known."""
        return self.publishing.is_open

    async def publish_job(self, work_queue: str, envelope: Envelope) -> None:
        """Send work; returns when the broker has it safe on disk. It may arrive twice.

        Raises:
            InvalidRequestError, TooLargeError: it could not travel.
            UnavailableError: no confirmation in time, or no such work queue.
        """
        await self.publisher.job(work_queue, envelope)

    async def publish_event(self, routing_key: str, envelope: Envelope) -> None:
        """Send news to whoever listens now; nobody is fine too.

        Raises:
            InvalidRequestError, TooLargeError: it could not travel.
            UnavailableError: no confirmation in time.
        """
        await self.publisher.event(routing_key, envelope)

    @asynccontextmanager
    async def subscribe_events(
        self,
        patterns: Sequence[str],
        name: str,
        *,
        on_missed: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[AsyncIterator[Envelope]]:
        """Listen to events, `async with broker.subscribe_events(["video.*"], "web.ab12") as events`.

        What is published after the body begins is heard, as long as the connection holds and the reader
        keeps up; `on_missed` is called whenever it did not, as a hint to read the truth again.

        Args:
            patterns: routing keys; `*` stands for one word, `#` for any number.
            name: of the queue, unique to this process. It is gone with the connection.
            on_missed: called when events may have been lost; must not block.
        """
        subscription = self.subscription(
            queue=name, patterns=patterns, purpose=f"follows {', '.join(patterns)}", on_missed=on_missed
        )
        async with background(subscription.run()):
            await subscription.bound.wait()
            yield _drain(subscription)

    def subscription(
        self,
        *,
        queue: str,
        patterns: Sequence[str],
        purpose: str,
        on_missed: Callable[[], None] = lambda: None,
    ) -> Subscription:
        """A queue of events of one's own; see `Subscription`."""
        return Subscription(
            self.consuming,
            self.topology,
            queue=queue,
            patterns=patterns,
            instance=self.instance,
            purpose=purpose,
            liveness_s=self._liveness_s,
            on_missed=on_missed,
        )

    async def depth(self, queue: str) -> int:
        """How many messages wait in a queue; those being worked on don't count.

        It is 0 if there is no such queue, and for a moment after a restart of the broker, until the queue
        has a leader.

        Raises:
            UnavailableError: the broker is away.
        """
        async with self.publishing.channel() as channel, rpc(f"Asking for the length of {queue}"):
            try:
                found = await channel.declare_queue(queue, passive=True)
            except ChannelNotFoundEntity:
                return 0
            return found.declaration_result.message_count or 0

    async def retry_depth(self, work_queue: str) -> int:
        """How many jobs of a work queue wait to be tried again.

        Raises:
            UnavailableError: the broker is away.
        """
        return sum([await self.depth(queue) for queue in self.topology.retry_queues(work_queue)])

    async def retire(self, work_queue: str) -> bool:
        """Delete a work queue with its retry queues and dead letters. False: somebody consumes from it.

        Quorum queues know no conditional deletion; a consumer that comes in between declares its queue anew.

        Raises:
            UnavailableError: the broker is away; some of the queues may be gone.
        """
        if await self._consumers(work_queue):
            return False
        async with self.publishing.channel() as channel, rpc(f"Deleting {work_queue}"):
            for queue in self.topology.family(work_queue):
                await channel.queue_delete(queue.name)
        return True

    async def _consumers(self, queue: str) -> int:
        async with self.publishing.channel() as channel, rpc(f"Asking for the consumers of {queue}"):
            try:
                found = await channel.declare_queue(queue, passive=True)
            except ChannelNotFoundEntity:
                return 0
            return found.declaration_result.consumer_count or 0

    async def _open(self, timeout_s: float) -> None:
        attempts = AsyncRetrying(
            stop=stop_after_delay(timeout_s),
            wait=wait_random(0.2, 1.0),
            retry=retry_if_exception_type(UnavailableError),
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                await self.publisher.ready(FIRST_QUEUE, BULK_QUEUE)


async def _drain(subscription: Subscription) -> AsyncIterator[Envelope]:
    while True:
        yield await subscription.backlog.get()
