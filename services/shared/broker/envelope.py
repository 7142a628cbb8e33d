"""A message as the rest of the project sees it: what it says, and what the broker's UI shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.shared.errors import InvalidRequestError, TooLargeError

MAX_BODY_BYTES: Final = 1 << 20
"""Messages are references. (A 4.x broker refuses more than 16 MiB, and holds bodies in memory.)"""

_MAX_NAME_BYTES: Final = 255
"""AMQP short strings, which `type`, `message_id` and `correlation_id` travel as."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """One message with its address label. The second group of fields is filled in on the way in only."""

    type: str
    """What kind of message it is, `transcode.piece`."""
    body: bytes
    """JSON."""
    message_id: str
    """What is to be done, the same in every message that asks for it."""
    correlation_id: str = ""
    """The video it is about."""
    title: str = ""
    """The video's title, for people who look at the broker's UI."""
    attempt: int = 1
    """Counts from 1; a retry after a failure adds one."""
    deferrals: int = 0
    """How often in a row it was put aside because nobody could try."""

    queue: str = ""
    """The work queue it came from (of a dead letter: where it was work), or the subscription's queue."""
    routing_key: str = ""
    """What it was published as: `video.deleted`."""
    redelivered: bool = False
    """Whether somebody may have had it before and lost or returned it."""
    delivery: str = ""
    """This delivery of this message: another one for each of its duplicates, and whenever it comes again."""
    earlier: frozenset[str] = frozenset()
    """Deliveries that have ended with this one: of the same message, or of the one that it was sent after."""
    error: str = ""
    """Why the attempt before this one failed; of a dead letter: why it died."""
    detail: str = ""
    """What an engineer wants to see of that failure."""
    app_id: str = ""
    """The service that published it."""
    published_at: datetime | None = None

    def check(self) -> None:
        """Refuse what could not travel.

        Raises:
            InvalidRequestError: no type or id, or one longer than 255 bytes.
            TooLargeError: the body is longer than `MAX_BODY_BYTES`.
        """
        for name, value in (("type", self.type), ("message_id", self.message_id)):
            if not value:
                raise InvalidRequestError(f"A message needs a {name}.")
        for value in (self.type, self.message_id, self.correlation_id):
            if len(value.encode()) > _MAX_NAME_BYTES:
                raise InvalidRequestError(f"{value[:40]!r}… is longer than {_MAX_NAME_BYTES} bytes.")
        if len(self.body) > MAX_BODY_BYTES:
            raise TooLargeError(f"A message of {len(self.body)} bytes: send a reference to the data instead.")
