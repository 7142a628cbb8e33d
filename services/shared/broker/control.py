"""A worker's ear and nameplate: it hears what concerns running work, and shows what it is doing.

The queue `worker.<instance>` has one consumer whose tag says what runs, so that the list of consumers in
the broker's management UI is the list of running jobs.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from services.shared.broker.envelope import Envelope
from services.shared.broker.subscription import Subscription

log = logging.getLogger(__name__)

OnControl = Callable[[Envelope], Awaitable[None]]

PATTERNS: Final = ("video.cancelled", "video.deleted")
IDLE: Final = "idle"


async def ignore(_envelope: Envelope) -> None:
    """For workers whose jobs are too short to be worth stopping."""


class Control:
    """Passes control events on, one after the other."""

    def __init__(self, subscription: Subscription, on_control: OnControl) -> None:
        self._subscription = subscription
        self._on_control = on_control
        self._shown: list[str] = []

    async def listen(self) -> None:
        """Keep the queue; for ever."""
        await self._subscription.run()

    async def pass_on(self) -> None:
        """Hand events to `on_control`; for ever. One that it cannot handle does not keep it from the next."""
        while True:
            envelope = await self._subscription.backlog.get()
            try:
                await self._on_control(envelope)
            except Exception:
                log.exception("control event %s %s", envelope.routing_key, envelope.message_id)

    @contextmanager
    def showing(self, text: str) -> Iterator[None]:
        """Show what runs during the body, beside what is shown already."""
        self._shown.append(text)
        self._rename()
        try:
            yield
        finally:
            self._shown.remove(text)
            self._rename()

    def _rename(self) -> None:
        self._subscription.rename("; ".join(self._shown) or IDLE)
