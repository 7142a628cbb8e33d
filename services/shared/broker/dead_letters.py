"""Looking at dead letters, and throwing them away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from aio_pika.abc import AbstractChannel

from services.shared.broker.declaration import declare
from services.shared.broker.delivery import Delivery
from services.shared.broker.envelope import Envelope
from services.shared.broker.faults import rpc
from services.shared.broker.link import Link
from services.shared.broker.publisher import Publisher
from services.shared.broker.topology import Topology, dead_queue

_AT_ONCE: Final = 1_000

Wanted = Callable[[Envelope], bool]


class DeadLetters:
    """The dead letters of the work queues."""

    def __init__(self, link: Link, publisher: Publisher, topology: Topology) -> None:
        self._link = link
        self._publisher = publisher
        self._topology = topology

    async def list(self, work_queue: str, *, limit: int = 100) -> tuple[Envelope, ...]:
        """The oldest dead letters of a work queue, at most `limit`; they stay where they are.

        Raises:
            UnavailableError: the broker is away.
        """
        async with self._link.channel() as channel:
            return tuple([letter.envelope async for letter in self._read(channel, work_queue, limit)])

    async def discard(self, work_queue: str, wanted: Wanted, *, limit: int = _AT_ONCE) -> int:
        """Throw away those of the oldest `limit` dead letters that are `wanted`; return how many.

        Raises:
            UnavailableError: the broker is away; some may be gone.
        """
        discarded = 0
        async with self._link.channel() as channel:
            async for letter in self._read(channel, work_queue, limit):
                if wanted(letter.envelope):
                    await letter.ack()
                    discarded += 1
        return discarded

    async def _read(self, channel: AbstractChannel, work_queue: str, limit: int) -> AsyncIterator[Delivery]:
        """Borrow letters; those that are not settled go back when the channel closes."""
        await declare(channel, self._topology, [work_queue])
        async with rpc("Reading dead letters"):
            queue = await channel.get_queue(dead_queue(work_queue), ensure=False)
        for _ in range(min(limit, _AT_ONCE)):
            async with rpc("Reading dead letters"):
                message = await queue.get(fail=False, timeout=None)
            if message is None:
                return
            yield Delivery(message, channel, work_queue, self._publisher)
