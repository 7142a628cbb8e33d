"""A message that the broker has lent us, until it is settled or the channel it came on is gone."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from services.shared.broker.envelope import Envelope
from services.shared.broker.faults import rpc
from services.shared.broker.wire import from_message
from services.shared.errors import UnavailableError

log = logging.getLogger(__name__)

_SETTLE_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, eq=False)
class Delivery:
    """One delivery. When its channel dies the broker gives the message to somebody else."""

    message: AbstractIncomingMessage
    channel: AbstractChannel
    queue: str

    @property
    def envelope(self) -> Envelope:
        """What it says."""
        return from_message(self.message, queue=self.queue)

    def lost(self) -> Awaitable[object]:
        """Done when the channel is gone, and the message no longer ours."""
        return self.channel.closed()

    async def ack(self) -> None:
        """Settle it for good. That it was lost meanwhile is no error: it will be done twice."""
        await self._settle("done", self.message.ack())

    async def hand_back(self) -> None:
        """Let somebody else have it at once. On a lost channel that has happened already."""
        if not self.message.processed:
            await self._settle("handed back", self.message.reject(requeue=True))

    async def _settle(self, how: str, settling: Awaitable[None]) -> None:
        try:
            async with rpc("Settling", timeout_s=_SETTLE_TIMEOUT_S):
                await settling
        except UnavailableError as error:
            log.info("%s %s, but its lease was lost: %s", self.message.message_id, how, error)
