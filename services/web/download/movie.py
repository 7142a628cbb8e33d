"""A plain MP4 file put together from segments without copying any: its head, and what comes from where. Pure.

`ftyp` and `moov` come first, so that the file plays while it is being fetched; then, in an `mdat`, the
samples of all segments in the order of their time. Only the head is held; the rest is read when somebody
wants it, so that any part of the file can be had without the parts before it.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import lcm
from typing import Final

from services.shared.boxes import box, box_start, full_box
from services.web.download.samples import Samples
from services.web.download.tracks import TrackHead, TrackTables
from services.web.ranges import ByteRange

_BRANDS: Final = b"isom" + bytes(4) + b"isom" + b"iso2" + b"mp41"
_UNITY_MATRIX: Final = b"".join(
    value.to_bytes(4, "big") for value in (0x00010000, 0, 0, 0, 0x00010000, 0, 0, 0, 0x40000000)
)
_NORMAL_RATE: Final = 0x00010000
_FULL_VOLUME: Final = 0x0100


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes of a file in the ring."""

    file: str
    wanted: ByteRange


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """The samples of one segment."""

    file: str
    start: int
    """Where in that file they begin."""
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Movie:
    """A file that exists only as a description."""

    head: bytes
    chunks: Sequence[_Chunk]
    starts: Sequence[int]
    """Where in the movie each chunk begins, and where the last one ends."""

    @property
    def size_bytes(self) -> int:
        """Of the whole file."""
        return self.starts[-1]

    def parts(self, wanted: ByteRange) -> Iterator[bytes | Part]:
        """What a range of it consists of, in order."""
        if wanted.start < len(self.head):
            yield self.head[wanted.start : wanted.end]
        first = max(bisect_right(self.starts, wanted.start) - 1, 0)
        for number in range(first, len(self.chunks)):
            begin = self.starts[number]
            if begin >= wanted.end:
                return
            chunk = self.chunks[number]
            skip, end = max(wanted.start - begin, 0), min(wanted.end - begin, chunk.size_bytes)
            if skip < end:
                yield Part(file=chunk.file, wanted=ByteRange(start=chunk.start + skip, end=chunk.start + end))


class MovieBuilder:
    """Collects segments; those of one track come in order, tracks in any.

    Args:
        heads: of the pictures, then of the sound tracks in the order of menus.
    """

    def __init__(self, heads: Sequence[TrackHead]) -> None:
        self._tables = [TrackTables(head) for head in heads]
        self._chunks: list[list[tuple[Fraction, int, _Chunk]]] = [[] for _ in heads]

    def add(self, track: int, file: str, samples: Samples) -> None:
        """Append a segment to a track.

        Args:
            track: its place among the heads.
            file: the segment's name.
            samples: what its head says.
        """
        tables = self._tables[track]
        begins = Fraction(tables.media_ticks, tables.head.timescale)
        chunk = _Chunk(file=file, start=samples.data_start, size_bytes=samples.size_bytes)
        self._chunks[track].append((begins, track, chunk))
        tables.add(samples)

    def movie(self) -> Movie:
        """The file of all segments so far."""
        ordered = [*heapq.merge(*self._chunks, key=lambda entry: entry[:2])]
        chunks = [chunk for _, _, chunk in ordered]
        relative = [*accumulate((chunk.size_bytes for chunk in chunks), initial=0)]
        owners = [track for _, track, _ in ordered]
        # Offsets are of the same length wherever they point, so the head is, too.
        media = box_start(b"mdat", relative[-1])
        start = len(self._head(owners, relative)) + len(media)
        starts = array("Q", (start + offset for offset in relative))
        return Movie(head=self._head(owners, starts) + media, chunks=chunks, starts=starts)

    def _head(self, owners: Sequence[int], starts: Sequence[int]) -> bytes:
        offsets = [array("Q") for _ in self._tables]
        for track, start in zip(owners, starts, strict=False):  # the last one is the end
            offsets[track].append(start)
        timescale = lcm(*(tables.head.timescale for tables in self._tables))
        traks = (
            tables.trak(
                number=number + 1,
                # The pictures, and the first of the sound tracks behind them.
                enabled=number <= 1,
                movie_timescale=timescale,
                chunk_offsets=offsets[number],
            )
            for number, tables in enumerate(self._tables)
        )
        return box(b"ftyp", _BRANDS) + box(b"moov", self._mvhd(timescale), *traks)

    def _mvhd(self, timescale: int) -> bytes:
        longest = max(tables.shown_in(timescale) for tables in self._tables)
        times = bytes(16) + timescale.to_bytes(4, "big") + longest.to_bytes(8, "big")
        levels = _NORMAL_RATE.to_bytes(4, "big") + _FULL_VOLUME.to_bytes(2, "big") + bytes(10)
        following = (len(self._tables) + 1).to_bytes(4, "big")
        return full_box(b"mvhd", times, levels, _UNITY_MATRIX, bytes(24), following, version=1)
