"""A track of an MP4 file that is put together from segments: its tables, and the boxes that hold them. Pure.

In a fragmented file every fragment lists its own samples. In a plain one, which every program can open, one
`moov` in front lists those of the whole file (ISO/IEC 14496-12, section 8).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from operator import add
from typing import Final

from services.shared.boxes import box, boxes, find_inside, full_box, inside, uint
from services.shared.languages import UNDETERMINED, alpha3
from services.web.download.samples import Samples

_ENABLED: Final = 1
_IN_MOVIE: Final = 2
_FULL_VOLUME: Final = 0x0100
_NO_VOLUME: Final = 0
_SOUND_GROUP: Final = 1
"""Of tracks of which players choose one."""
_LETTER_BASE: Final = 0x60
_SOUND_HANDLER: Final = int.from_bytes(b"soun", "big")
_VERSION_WITH_64_BITS: Final = 1


@dataclass(frozen=True, kw_only=True)
class TrackHead:
    """What a track's initialisation segment tells of it, and what it is for."""

    init: bytes
    """The segment."""
    language: str = UNDETERMINED
    title: str = ""
    longest_ticks: int | None = None
    """Where it ends at the latest. Encoders fill the last frame up; that is not part of it."""

    @property
    def trak(self) -> bytes:
        """Content of the `trak` box."""
        return inside(self.init, b"moov", b"trak")

    @property
    def is_sound(self) -> bool:
        """Whether it is to be heard."""
        return uint(inside(self.trak, b"mdia", b"hdlr"), 8) == _SOUND_HANDLER

    @property
    def timescale(self) -> int:
        """Ticks per second."""
        mdhd = inside(self.trak, b"mdia", b"mdhd")
        return uint(mdhd, 20 if mdhd[0] == _VERSION_WITH_64_BITS else 12)

    @property
    def media_start(self) -> int:
        """Which moment of the media is shown first, in ticks: an encoder may need a run-up."""
        elst = find_inside(self.trak, b"edts", b"elst")
        if elst is None or not uint(elst, 4):
            return 0
        is_long = elst[0] == _VERSION_WITH_64_BITS
        return uint(elst, 16, 8) if is_long else uint(elst, 12)


class TrackTables:
    """The samples of a whole track, collected segment by segment."""

    def __init__(self, head: TrackHead) -> None:
        self.head = head
        self.media_ticks = 0
        """Duration of all samples."""
        self._shown_until = 0
        self._sizes = array("i")
        self._durations = _Runs()
        self._offsets = _Runs()
        self._per_chunk = _Runs()
        self._key_samples = array("i")

    def add(self, samples: Samples) -> None:
        """Append a segment. Its first sample is a key frame, and it becomes a chunk of the file."""
        self._key_samples.append(len(self._sizes) + 1)
        self._per_chunk.extend([len(samples.sizes)])
        self._sizes.extend(samples.sizes)
        self._durations.extend(samples.durations)
        self._offsets.extend(samples.offsets)
        # An hour has half a million samples, so all of them at once rather than each by itself.
        decoded = [*accumulate(samples.durations, initial=self.media_ticks)]
        self._shown_until = max([self._shown_until, *map(add, decoded[1:], samples.offsets)])
        self.media_ticks = decoded[-1]

    @property
    def shown_ticks(self) -> int:
        """How long the track is for who watches or hears it."""
        shown = self._shown_until - self.head.media_start
        return shown if self.head.longest_ticks is None else min(shown, self.head.longest_ticks)

    def shown_in(self, timescale: int) -> int:
        """The same in a multiple of the track's timescale."""
        return self.shown_ticks * (timescale // self.head.timescale)

    def trak(self, *, number: int, enabled: bool, movie_timescale: int, chunk_offsets: array[int]) -> bytes:
        """The track's box.

        Args:
            number: of the track in the file, from 1.
            enabled: whether players begin with it, in place of others of its kind.
            movie_timescale: of the file, ticks per second; a multiple of the track's.
            chunk_offsets: where in the file each segment's samples begin.
        """
        duration = self.shown_in(movie_timescale)
        edit = full_box(
            b"elst",
            _u32(1) + _u64(duration) + _u64(self.head.media_start) + _u32(0x00010000),
            version=_VERSION_WITH_64_BITS,
        )
        media = inside(self.head.trak, b"mdia")
        return box(
            b"trak",
            self._tkhd(number, duration, enabled=enabled),
            box(b"edts", edit),
            box(
                b"mdia",
                self._mdhd(),
                *_extended_language(self.head),
                _handler(self.head, media),
                self._minf(media, chunk_offsets),
            ),
        )

    def _tkhd(self, number: int, duration: int, *, enabled: bool) -> bytes:
        given = inside(self.head.trak, b"tkhd")
        # What the picture is like stands at the end: matrix, width and height.
        shape = given[-44:]
        group, volume = (_SOUND_GROUP, _FULL_VOLUME) if self.head.is_sound else (0, _NO_VOLUME)
        return full_box(
            b"tkhd",
            _u64(0) + _u64(0) + _u32(number) + _u32(0) + _u64(duration),
            bytes(8) + _u16(0) + _u16(group) + _u16(volume) + _u16(0) + shape,
            version=_VERSION_WITH_64_BITS,
            flags=_IN_MOVIE | (_ENABLED if enabled else 0),
        )

    def _mdhd(self) -> bytes:
        code = 0
        for letter in alpha3(self.head.language).encode():
            code = code << 5 | letter - _LETTER_BASE
        return full_box(
            b"mdhd",
            _u64(0) + _u64(0) + _u32(self.head.timescale) + _u64(self.media_ticks) + _u16(code) + _u16(0),
            version=_VERSION_WITH_64_BITS,
        )

    def _minf(self, media: bytes, chunk_offsets: array[int]) -> bytes:
        kept = [box(kind, content) for kind, content in boxes(inside(media, b"minf")) if kind != b"stbl"]
        return box(b"minf", *kept, self._stbl(inside(media, b"minf", b"stbl", b"stsd"), chunk_offsets))

    def _stbl(self, stsd: bytes, chunk_offsets: array[int]) -> bytes:
        tables = [
            box(b"stsd", stsd),
            full_box(b"stts", self._durations.table()),
            full_box(b"stsc", self._per_chunk.chunk_table()),
            full_box(b"stsz", _u32(0), _u32(len(self._sizes)), _big_endian(self._sizes)),
            full_box(b"co64", _u32(len(chunk_offsets)), _big_endian(chunk_offsets)),
        ]
        if self._offsets.differ:
            tables.append(full_box(b"ctts", self._offsets.table(), version=self._offsets.sign_version))
        if not self.head.is_sound:
            tables.append(full_box(b"stss", _u32(len(self._key_samples)), _big_endian(self._key_samples)))
        return box(b"stbl", *tables)


class _Runs:
    """Numbers of which many in a row are alike."""

    def __init__(self) -> None:
        self._counts = array("i")
        self._values = array("i")

    def extend(self, values: Sequence[int]) -> None:
        alike = len(set(values)) == 1
        runs = [(values[0], len(values))] if alike else zip(values, repeat(1))
        for value, count in runs:
            self._append(value, count)

    def _append(self, value: int, count: int) -> None:
        if self._values and self._values[-1] == value:
            self._counts[-1] += count
        else:
            self._counts.append(count)
            self._values.append(value)

    @property
    def differ(self) -> bool:
        """Whether any number is other than 0."""
        return any(self._values)

    @property
    def sign_version(self) -> int:
        """The version of `ctts` that can hold them: 1 where one is below zero."""
        return int(any(value < 0 for value in self._values))

    def table(self) -> bytes:
        """How many entries there are, then each one's length and value."""
        rows = array("i", [0]) * (2 * len(self._counts))
        rows[0::2], rows[1::2] = self._counts, self._values
        return _u32(len(self._counts)) + _big_endian(rows)

    def chunk_table(self) -> bytes:
        """The same as `stsc` wants it: the first chunk of each entry, samples per chunk, description."""
        rows, chunk = array("i"), 1
        for count, value in zip(self._counts, self._values, strict=True):
            rows.extend((chunk, value, 1))
            chunk += count
        return _u32(len(self._counts)) + _big_endian(rows)


def _handler(head: TrackHead, media: bytes) -> bytes:
    """Which kind of track it is; for sound its title as well, which some programs show."""
    given = inside(media, b"hdlr")
    named = given[:24] + head.title.encode() + b"\0" if head.is_sound and head.title else given
    return box(b"hdlr", named)


def _extended_language(head: TrackHead) -> list[bytes]:
    """The whole language tag, of which the media header takes three letters only."""
    return [full_box(b"elng", head.language.encode() + b"\0")] if head.language != UNDETERMINED else []


def _big_endian(numbers: array[int]) -> bytes:
    swapped = array(numbers.typecode, numbers)
    if sys.byteorder == "little":
        swapped.byteswap()
    return swapped.tobytes()


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "big")
