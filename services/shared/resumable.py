"""A resumable upload: how much of a file is durable so far, and in which files of the ring that is. Pure.

A file comes in by any number of requests, each of which may break off anywhere. Every request is a *take*
with a number of its own, and what it stores bears that number: the ring is write-once, so what one take has
left behind must not stand in the way of the next one, which may bring other bytes.

Takes do not change how a source is cut. It lies on a grid of parts of one size, as any other. What is durable
is a row of whole parts and, behind them, the *tail*: the beginning of the next part, in one or several files.
A take that completes a part copies the tail into it. What is stored of the tail alone is small, and what the
copy replaces is referred to by nobody and collected later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from services.shared.filenames import source_part_file
from services.shared.record import Record
from services.shared.video import Source, Status, Video

MAX_TAIL_FILES: Final = 64
"""A tail in more files than that is copied together, so that tiny takes don't make endless records."""


class TailFile(Record):
    """A file that holds some bytes of a part which is not complete."""

    take: int
    size_bytes: int


class ResumableUpload(Record):
    """What is durable of an upload, stored under `resumable/<id>`; the id is that of the video to come."""

    id: str
    title: str
    metadata: str = ""
    """As the client gave it, to be given back."""
    size_bytes: int
    """Of the whole file."""
    part_bytes: int
    take: int = 0
    """The last one that was begun."""
    takes: tuple[int, ...] = ()
    """Of each whole part, the take that stored it."""
    tail: tuple[TailFile, ...] = ()
    """In the order of their bytes."""
    chain: str = ""
    """Of the whole parts; see `Source.chain`."""
    expires_at_ms: int = 0
    """It is given up when nothing has come until then."""

    @property
    def part_start(self) -> int:
        """Where the part begins that is not complete yet."""
        return len(self.takes) * self.part_bytes

    @property
    def tail_bytes(self) -> int:
        """How much is durable of the part that is not complete."""
        return sum(file.size_bytes for file in self.tail)

    @property
    def offset(self) -> int:
        """How much is durable: where the next take has to begin."""
        return min(self.part_start, self.size_bytes) + self.tail_bytes

    @property
    def complete(self) -> bool:
        """Whether all parts are durable."""
        return self.part_start >= self.size_bytes

    def part_file(self, take: int) -> str:
        """The name of what a take stores of the part that is not complete."""
        return source_part_file(len(self.takes), take=take)

    def tail_files(self) -> Iterator[str]:
        """The names of the tail's files, in order."""
        return (self.part_file(file.take) for file in self.tail)

    def takes_tail_in(self, coming_bytes: int | None) -> bool:
        """Whether the next take has to copy the tail, since it may complete the part.

        Args:
            coming_bytes: how much it brings; None: nobody knows.
        """
        if not self.tail:
            return False
        room = min(self.part_bytes, self.size_bytes - self.part_start) - self.tail_bytes
        return coming_bytes is None or coming_bytes >= room or len(self.tail) >= MAX_TAIL_FILES

    def with_file(self, *, take: int, size_bytes: int, sha256: str, has_tail: bool) -> ResumableUpload:
        """The record after a take has stored a file of the part that is not complete.

        Args:
            take: which.
            size_bytes: of the file, at most what is left of the part.
            sha256: of the file.
            has_tail: it begins with a copy of the tail; else it goes on behind it.
        """
        end = min(self.part_bytes, self.size_bytes - self.part_start)
        if size_bytes == end and (has_tail or not self.tail):
            return self.model_copy(
                update={"takes": (*self.takes, take), "tail": (), "chain": _linked(self.chain, sha256)}
            )
        kept = () if has_tail else self.tail
        file = TailFile(take=take, size_bytes=size_bytes)
        return self.model_copy(update={"tail": (*kept, file)})

    def video(self, *, now_ms: int) -> Video:
        """The video that a complete upload becomes."""
        source = Source(
            size_bytes=self.size_bytes,
            part_bytes=self.part_bytes,
            parts=len(self.takes),
            takes=self.takes,
            chain=self.chain,
        )
        return Video(
            id=self.id,
            title=self.title,
            status=Status.UPLOADED,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            source=source,
        )


def _linked(chain: str, sha256: str) -> str:
    return hashlib.sha256(bytes.fromhex(chain) + bytes.fromhex(sha256)).hexdigest()
