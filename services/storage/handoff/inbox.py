"""Handoff events from the broker: hints about what somebody waits for."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from services.shared.broker import Broker, Envelope, QueueConsumer
from services.shared.errors import ConflictError, PermanentJobError, TransientJobError
from services.shared.messages import HandoffEvent, handoff_queue
from services.shared.ring.placement import PARTITIONS
from services.storage.handoff.handoff import Handoff

log = logging.getLogger(__name__)

_AT_ONCE: Final = 64
_PATIENCE_S: Final = 600.0
"""The broker takes a consumer for dead that holds a message for 30 minutes."""
_MAX_ATTEMPTS: Final = 100


class HandoffInbox:
    """Consumes a node's queue. Without a broker nothing comes, and nothing is missed."""

    def __init__(self, broker: Broker, *, node_id: str, handoff: Handoff) -> None:
        self._queue = handoff_queue(node_id)
        self._handoff = handoff
        self._consumer = QueueConsumer(
            broker, self._queue, handle=self._handle, prefetch=_AT_ONCE, max_attempts=_MAX_ATTEMPTS
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Take events until `stop` is set."""
        try:
            await self._consumer.run(stop)
        except* ConflictError as errors:
            log.error("no events from %s: %s", self._queue, errors.exceptions[0])  # noqa: TRY400 - a sentence

    async def _handle(self, envelope: Envelope) -> None:
        try:
            event = HandoffEvent.model_validate_json(envelope.body)
        except ValueError as error:
            raise PermanentJobError("The event cannot be read.", detail=str(error)) from error
        if not 0 <= event.partition < PARTITIONS:
            raise PermanentJobError(f"There is no partition {event.partition}.")
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._handoff.hand_over(event.partition, epoch=event.epoch)
        except TimeoutError:
            raise TransientJobError("The partition's owners have not confirmed its files yet.") from None
