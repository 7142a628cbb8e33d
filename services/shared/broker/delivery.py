"""A message that the broker has lent us, until it is settled or the channel it came on is gone."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from services.shared.broker.envelope import Envelope
from services.shared.broker.faults import rpc
from services.shared.broker.publisher import Publisher
from services.shared.broker.topology import DELIVERY_LIMIT
from services.shared.broker.wire import from_message, returns
from services.shared.errors import TritonTubeError, UnavailableError

log = logging.getLogger(__name__)

_SETTLE_TIMEOUT_S: Final = 5.0
_MOST_RETURNS: Final = DELIVERY_LIMIT // 2


@dataclass(eq=False)
class Delivery:
    """One delivery. When its channel dies the broker gives the message to somebody else."""

    message: AbstractIncomingMessage
    channel: AbstractChannel
    queue: str
    publisher: Publisher
    """For what goes back into its queue as a new message."""
    kept: bool = field(default=False, init=False)
    """Whether it was settled before its job has ended: nothing is left then that could be handed back."""

    @property
    def envelope(self) -> Envelope:
        """What it says."""
        return from_message(self.message, queue=self.queue)

    @property
    def has_come_back(self) -> bool:
        """Whether somebody may have had it before, and lost or returned it."""
        return bool(self.message.redelivered)

    def lost(self) -> Awaitable[object]:
        """Done when the channel is gone, and the message no longer ours."""
        return self.channel.closed()

    async def ack(self) -> None:
        """Settle it for good. That it was lost meanwhile is no error: it will be done twice."""
        if not self.kept:
            await self._settle("done", self.message.ack())

    async def keep(self) -> bool:
        """Settle it while its job goes on: the broker no longer waits for that, nor can it take it away.

        Returns:
            Whether it was still ours.
        """
        self.kept = await self._settle("kept", self.message.ack())
        return self.kept

    async def hand_back(self) -> None:
        """Let somebody else have it at once. On a lost channel that has happened already.

        The broker counts every return, of whatever kind, as a failure of the job, and gives the job up at its
        limit. A job that has only been passed on must not die of that, so from half the limit on it goes back
        as a new message, with nothing against it. (Jobs that end their workers are counted in etcd.) So does
        one that was kept.
        """
        if self.kept:
            await self._renewed()
            return
        if self.message.processed:
            return
        if returns(self.message) >= _MOST_RETURNS and await self._renewed():
            await self.ack()
        else:
            await self._settle("handed back", self.message.reject(requeue=True))

    async def refuse(self) -> None:
        """Leave it to the broker to make a dead letter of it: we could not, it is no message of ours."""
        if not self.kept:
            await self._settle("refused", self.message.reject(requeue=False))

    async def _renewed(self) -> bool:
        try:
            await self.publisher.job(self.queue, self.envelope)
        except TritonTubeError as error:
            log.info("%s could not be renewed: %s", self.message.message_id, error)
            return False
        return True

    async def _settle(self, how: str, settling: Awaitable[None]) -> bool:
        try:
            async with rpc("Settling", timeout_s=_SETTLE_TIMEOUT_S):
                await settling
        except UnavailableError as error:
            log.info("%s %s, but its lease was lost: %s", self.message.message_id, how, error)
            return False
        return True
