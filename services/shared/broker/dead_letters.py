"""Looking at dead letters, and giving them another life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
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

    async def requeue(self, work_queue: str, *, message_id: str | None = None, limit: int = _AT_ONCE) -> int:
        """Send dead letters back to their work queue, as if never tried.

        Args:
            work_queue: whose.
            message_id: only those with this id; None: all.
            limit: how many are looked at.

        Returns:
            How many were sent.

        Raises:
            UnavailableError: the broker is away; some may have been sent.
        """
        sent = 0
        async with self._link.channel() as channel:
            async for letter in self._read(channel, work_queue, limit):
                if message_id in {None, letter.envelope.message_id}:
                    await self._revive(letter, work_queue)
                    sent += 1
        return sent

    async def _revive(self, letter: Delivery, work_queue: str) -> None:
        fresh = replace(letter.envelope, attempt=1, error="", detail="")
        await self._publisher.job(work_queue, fresh)
        await letter.ack()

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
