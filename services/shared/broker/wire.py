"""Envelopes to AMQP messages and back.

Reading never fails: anybody with access to the broker can publish anything, and a message that cannot be
read would come back for ever. What is missing or odd gets a neutral value; its handler will refuse it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage

from services.shared.broker.envelope import Envelope
from services.shared.broker.labels import MAX_DETAIL_BYTES, MAX_ERROR_BYTES, MAX_TITLE_BYTES, clip

_ATTEMPT: Final = "x-attempt"
_DEFERRALS: Final = "x-deferrals"
_TITLE: Final = "x-video-title"
_ERROR: Final = "x-error"
_DETAIL: Final = "x-detail"
_DEATHS: Final = "x-death"
_COPY: Final = "x-copy"
"""Tells a message from all others, also from those that say the same."""
_AFTER: Final = "x-after"
"""The delivery in whose place a message was sent: a retry, or one that goes on with what was handed back."""
_RETURNS: Final = "x-delivery-count"

_VERDICTS: Final = {
    "delivery_limit": "Each worker that took this job died or lost its connection before it was done, too "
    "often to go on.",
    "rejected": "This is no message of ours: it could not even be put aside with a reason.",
}
"""What it means when the broker itself made a dead letter, by its reason."""

Headers = Mapping[str, object]


def to_message(envelope: Envelope, *, app_id: str) -> Message:
    """Write an envelope for publishing.

    Raises:
        InvalidRequestError, TooLargeError: it could not travel.
    """
    envelope.check()
    headers: dict[str, str | int] = {
        _ATTEMPT: envelope.attempt,
        _TITLE: clip(envelope.title, MAX_TITLE_BYTES),
    }
    if envelope.deferrals:
        headers[_DEFERRALS] = envelope.deferrals
    if envelope.error:
        headers[_ERROR] = clip(envelope.error, MAX_ERROR_BYTES)
    if envelope.detail:
        headers[_DETAIL] = clip(envelope.detail, MAX_DETAIL_BYTES, keep_end=True)
    if envelope.delivery:
        headers[_AFTER] = envelope.delivery
    return Message(
        envelope.body,
        type=str(envelope.type),
        message_id=envelope.message_id,
        correlation_id=envelope.correlation_id,
        app_id=app_id,
        content_type="application/json",
        timestamp=datetime.now(UTC),
        headers=dict(headers),
        delivery_mode=DeliveryMode.PERSISTENT,
    )


def mark(message: Message) -> None:
    """Make a message tell itself from others; each time that it is sent, since it may arrive each time."""
    message.headers[_COPY] = secrets.token_hex(8)


def returns(message: AbstractIncomingMessage) -> int:
    """How often a message has come back to its queue."""
    return _count(message.headers or {}, _RETURNS)


def from_message(message: AbstractIncomingMessage, *, queue: str) -> Envelope:
    """Read what arrived from `queue`."""
    headers: Headers = message.headers or {}
    return Envelope(
        type=message.type or "",
        body=message.body,
        message_id=message.message_id or "",
        correlation_id=message.correlation_id or "",
        title=_text(headers, _TITLE),
        attempt=_count(headers, _ATTEMPT) or 1,
        deferrals=_count(headers, _DEFERRALS),
        queue=queue,
        routing_key=message.routing_key or "",
        redelivered=bool(message.redelivered),
        delivery=_delivery(headers, returns(message)),
        earlier=frozenset(_earlier(message, headers)),
        error=_text(headers, _ERROR) or _broker_verdict(headers),
        detail=_text(headers, _DETAIL),
        app_id=message.app_id or "",
        published_at=message.timestamp,
    )


def _delivery(headers: Headers, returned: int) -> str:
    copy = _text(headers, _COPY)
    return f"{copy}.{returned}" if copy else ""


def _earlier(message: AbstractIncomingMessage, headers: Headers) -> Iterator[str]:
    if message.redelivered:
        # Brokers that do not count say 0 each time.
        yield from filter(None, (_delivery(headers, count) for count in range(max(returns(message), 1))))
    yield from filter(None, [_text(headers, _AFTER)])


def _text(headers: Headers, name: str) -> str:
    value = headers.get(name, "")
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _count(headers: Headers, name: str) -> int:
    value = headers.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _broker_verdict(headers: Headers) -> str:
    """Why the broker itself moved the message to the dead letters, if it did."""
    deaths = headers.get(_DEATHS)
    latest = deaths[0] if isinstance(deaths, list) and deaths else None
    reason = latest.get("reason") if isinstance(latest, Mapping) else None
    return _VERDICTS.get(reason.decode() if isinstance(reason, bytes) else str(reason), "")
