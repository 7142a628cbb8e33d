"""Texts that people read in the broker's UI, cut to what AMQP carries."""

from __future__ import annotations

import re
from typing import Final

from services.shared.broker.envelope import Envelope

MAX_TITLE_BYTES: Final = 300
MAX_ERROR_BYTES: Final = 1_000
MAX_DETAIL_BYTES: Final = 8_000
"""All headers of a message travel in one frame, of 128 KiB by default."""

_MAX_TAG_BYTES: Final = 255
_MAX_SHOWN_TITLE_BYTES: Final = 120
_UNPRINTABLE: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


def connection_name(app_id: str, instance: str, purpose: str = "") -> str:
    """What the list of connections shows: `transcoder worker-ab12`."""
    return _line(f"{app_id} {instance} {purpose}")


def consumer_tag(instance: str, text: str) -> str:
    """What the list of consumers shows: `worker-ab12: transcode.piece of "My video" (attempt 1)`."""
    return clip(_line(f"{instance}: {text}"), _MAX_TAG_BYTES)


def describe(envelope: Envelope) -> str:
    """A job in a few words; `(attempt n)` stays readable however long the title is."""
    title = clip(envelope.title or envelope.correlation_id, _MAX_SHOWN_TITLE_BYTES)
    return f'{envelope.type} of "{title}" (attempt {envelope.attempt})'


def clip(text: str, limit_bytes: int, *, keep_end: bool = False) -> str:
    """Cut `text` to `limit_bytes` of UTF-8 between two characters, with an ellipsis where it was cut."""
    raw = text.encode(errors="replace")
    if len(raw) <= limit_bytes:
        return raw.decode()
    room = limit_bytes - len("…".encode())
    kept = raw[len(raw) - room :] if keep_end else raw[:room]
    cut = kept.decode(errors="ignore")
    return f"…{cut}" if keep_end else f"{cut}…"


def _line(text: str) -> str:
    # Titles come from strangers: no line breaks, no control or direction characters.
    return _UNPRINTABLE.sub(" ", text).strip()
