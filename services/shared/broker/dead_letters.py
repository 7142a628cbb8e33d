"""Looking at dead letters, and throwing them away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractChannel

from services.shared.broker.declaration import declare
from services.shared.broker.delivery import Delivery
from services.shared.broker.envelope import Envelope
from services.shared.broker.faults import rpc
from services.shared.broker.link import Link
from services.shared.broker.publisher import Publisher
from services.shared.broker.topology import MAX_DEAD, Topology, dead_queue

Wanted = Callable[[Envelope], bool]


class DeadLetters:
    """The dead letters of the work queues."""

    def __init__(self, link: Link, publisher: Publisher, topology: Topology) -> None:
        self._link = link
        self._publisher = publisher
        self._topology = topology

    async def list(
        self, work_queue: str, wanted: Wanted = lambda _: True, *, limit: int = 100
    ) -> tuple[Envelope, ...]:
        """The oldest dead letters of a work queue that are `wanted`, at most `limit`; they stay there.

        Raises:
            UnavailableError: the broker is away.
        """
        found: list[Envelope] = []
        async with self._link.channel() as channel:
            async for letter in self._read(channel, work_queue):
                if wanted(envelope := letter.envelope):
                    found.append(envelope)
                if len(found) == limit:
                    break
        return tuple(found)

    @asynccontextmanager
    async def borrowed(self, work_queues: Sequence[str], wanted: Wanted) -> AsyncIterator[Sequence[Delivery]]:
        """All dead letters that are `wanted`, for the time of the body; those not acknowledged there go back.

        Nobody else sees them meanwhile, and what dies meanwhile is not among them.

        Raises:
            UnavailableError: the broker is away.
        """
        async with self._link.channel() as channel:
            yield [
                letter
                for work_queue in work_queues
                async for letter in self._read(channel, work_queue)
                if wanted(letter.envelope)
            ]

    async def discard(self, work_queue: str, wanted: Wanted) -> int:
        """Throw away the dead letters that are `wanted`; return how many.

        Raises:
            UnavailableError: the broker is away; some may be gone.
        """
        discarded = 0
        async with self._link.channel() as channel:
            async for letter in self._read(channel, work_queue):
                if wanted(letter.envelope):
                    await letter.ack()
                    discarded += 1
        return discarded

    async def _read(self, channel: AbstractChannel, work_queue: str) -> AsyncIterator[Delivery]:
        """Borrow all letters, oldest first; those that are not settled go back when the channel closes."""
        await declare(channel, self._topology, [work_queue])
        async with rpc("Reading dead letters"):
            queue = await channel.get_queue(dead_queue(work_queue), ensure=False)
        for _ in range(MAX_DEAD):
            async with rpc("Reading dead letters"):
                message = await queue.get(fail=False, timeout=None)
            if message is None:
                return
            yield Delivery(message, channel, work_queue, self._publisher)
