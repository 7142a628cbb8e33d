"""A video's record: what it is, where it is in its life, what can be played of it. Pure.

How it is cut and encoded is in `services.shared.plan`.
"""

from __future__ import annotations

import secrets
import time
from enum import StrEnum
from typing import Final

from services.shared.captions import Captioning
from services.shared.errors import ConflictError, InvalidRequestError
from services.shared.filenames import source_part_file
from services.shared.record import Record
from services.shared.storyboard import Storyboard
from services.shared.tracks import AudioTrack, Rendition

_ID_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH: Final = 16
_ID_TIME_CHARS: Final = 9
_BITS_PER_CHAR: Final = 5
_ID_TIME_END_MS: Final = (1 << _ID_TIME_CHARS * _BITS_PER_CHAR) - 1
"""Ids count down to this moment (in the year 3084), so that etcd lists the newest video first."""


def new_video_id(now_s: float | None = None) -> str:
    """A URL-safe id of 16 characters: newer ids sort first, and 35 random bits make it hard to guess."""
    value = _ID_TIME_END_MS - int((time.time() if now_s is None else now_s) * 1000)
    stamp = "".join(
        _ID_ALPHABET[value >> shift & 31]
        for shift in range(_BITS_PER_CHAR * (_ID_TIME_CHARS - 1), -1, -_BITS_PER_CHAR)
    )
    return stamp + "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH - _ID_TIME_CHARS))


def check_video_id(video_id: str) -> str:
    """Return the id if it has the form of one.

    Raises:
        InvalidRequestError: it does not.
    """
    if len(video_id) != _ID_LENGTH or not set(video_id) <= set(_ID_ALPHABET):
        raise InvalidRequestError("A video id is 16 lower-case letters and digits.")
    return video_id


class Status(StrEnum):
    """Where a video is in its life."""

    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    PROCESSING = "processing"
    PLAYABLE = "playable"
    READY = "ready"
    FAILED = "failed"
    DELETED = "deleted"


TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    Status.UPLOADING: frozenset({Status.UPLOADED, Status.FAILED, Status.DELETED}),
    Status.UPLOADED: frozenset({Status.PROCESSING, Status.FAILED, Status.DELETED}),
    Status.PROCESSING: frozenset(
        {Status.UPLOADED, Status.PLAYABLE, Status.READY, Status.FAILED, Status.DELETED}
    ),
    Status.PLAYABLE: frozenset({Status.UPLOADED, Status.READY, Status.FAILED, Status.DELETED}),
    Status.READY: frozenset({Status.DELETED}),
    Status.FAILED: frozenset({Status.UPLOADED, Status.PROCESSING, Status.DELETED}),
    Status.DELETED: frozenset(),
}
"""Allowed status changes. Back to `uploaded` means: start over under the next generation; from `failed` to
`processing`: go on with what is left to do."""

ACTIVE: Final = frozenset({Status.UPLOADED, Status.PROCESSING, Status.PLAYABLE})
"""Statuses in which work remains: the sweeper looks at these."""

PLAYABLE: Final = frozenset({Status.PLAYABLE, Status.READY})


class Source(Record):
    """A file in the ring that is cut into `parts` files of `part_bytes` (the last one shorter)."""

    stem: str = "source"
    """What the names of its parts begin with."""
    size_bytes: int
    sha256: str = ""
    """Of the whole file. Empty where it came by several requests: a hash that has begun cannot be handed on
    from one process to the next."""
    part_bytes: int
    parts: int
    takes: tuple[int, ...] = ()
    """Of each part, which request has stored it; empty: they all came by the same one."""
    chain: str = ""
    """In place of `sha256`: the SHA-256 of the chain over the parts before the last one, empty at first,
    followed by that part's SHA-256 (both in binary)."""

    @property
    def digest(self) -> str:
        """What tells its content from any other: hexadecimal digits."""
        return self.sha256 or self.chain

    def part_file(self, number: int) -> str:
        """File name of a part. `number` counts from 0."""
        return source_part_file(number, stem=self.stem, take=self.takes[number] if self.takes else 0)


class Omission(Record):
    """A rendition, or one of several sound tracks, that a video goes without."""

    rendition: str
    """The track's name."""
    title: str = ""
    """What people know it by; empty: its name."""
    reason: str
    progress: float | None = None
    """How much of it has been made again; None: nobody does that."""


class Verdict(StrEnum):
    """What came of looking at a finished video as a whole."""

    SOUND = "sound"
    FAULTY = "faulty"
    UNCERTAIN = "uncertain"
    """Nothing wrong was seen, and not everything could be looked at."""


class Video(Record):
    """The catalogue's record of one video, stored under `videos/<id>`."""

    id: str
    title: str
    status: Status
    reason: str | None = None
    created_at_ms: int
    updated_at_ms: int
    generation: int = 0
    whole: bool = False
    """Encode in a single piece: cutting this source did not yield exact pieces."""
    careful: bool = False
    """Plan it only after all of its source was looked at: a first look had been misleading."""
    refused: bool = False
    """It failed because the source is no video that can be played; the source has been purged."""
    source: Source
    original_dropped: bool = False
    """The source was purged when the video was ready: nothing can be made from it any more."""
    progress: float = 0.0
    playable_s: float = 0.0
    """How much of it can be played from the beginning."""
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    renditions: tuple[Rendition, ...] = ()
    audio: tuple[AudioTrack, ...] = ()
    """In the order of menus."""
    omitted: tuple[Omission, ...] = ()
    """Tracks that were planned and could not be encoded."""
    edition: str = ""
    """Of its final manifests: another one when a track comes back that had been left out."""
    former_editions: tuple[str, ...] = ()
    poster: bool = False
    storyboard: Storyboard | None = None
    captions: Captioning = Captioning()
    extras_due: bool = False
    """It is ready, and some of its extras are still to be made."""
    verdict: Verdict | None = None
    """Of its last verification (`verifications/<id>`); None: it has not been verified yet."""

    @property
    def retryable(self) -> bool:
        """Whether it failed in a way that trying again may mend."""
        return self.status is Status.FAILED and not self.refused

    @property
    def restoring(self) -> str:
        """The track that is being made again, after it had been left out; empty: none."""
        return next((left.rendition for left in self.omitted if left.progress is not None), "")

    @property
    def work_remains(self) -> bool:
        """Whether sweepers look after it."""
        return self.status in ACTIVE or (self.status is Status.READY and self.extras_due)

    def moved_to(self, status: Status, *, now_ms: int, **changes: object) -> Video:
        """The record after a status change, other fields replaced by `changes`.

        Raises:
            ConflictError: the table of transitions does not allow it.
        """
        if status is not self.status and status not in TRANSITIONS[self.status]:
            raise ConflictError(f"A video that is {self.status} cannot become {status}.")
        return self.model_copy(update={"status": status, "updated_at_ms": now_ms, **changes})
