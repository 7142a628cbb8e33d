"""What the head of a media segment says about its samples. Pure.

Segments are fragments of MP4 (ISO/IEC 14496-12, section 8.8): a `moof` that lists the samples, then their
bytes in an `mdat`, one behind the other.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.shared.boxes import LONG_HEADER_BYTES, box_header, boxes, flags, inside, uint
from services.shared.errors import CorruptFileError, InvalidRequestError

HEAD_BYTES: Final = 8192
"""So much of a segment holds its `moof` and the beginning of its `mdat`: a sample takes at most 16 bytes of
it, and segments have at most 240 samples."""

_TFHD_BASE_DATA_OFFSET: Final = 0x000001
_TFHD_DESCRIPTION_INDEX: Final = 0x000002
_TFHD_DURATION: Final = 0x000008
_TFHD_SIZE: Final = 0x000010
_TFHD_WIDTHS: Final = {
    _TFHD_BASE_DATA_OFFSET: 8,
    _TFHD_DESCRIPTION_INDEX: 4,
    _TFHD_DURATION: 4,
    _TFHD_SIZE: 4,
}
"""Of those of its optional fields that stand before what is wanted here, in their order."""

_TRUN_DATA_OFFSET: Final = 0x000001
_TRUN_FIRST_FLAGS: Final = 0x000004
_TRUN_DURATION: Final = 0x000100
_TRUN_SIZE: Final = 0x000200
_TRUN_FLAGS: Final = 0x000400
_TRUN_OFFSET: Final = 0x000800
_TRUN_PER_SAMPLE: Final = (_TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_OFFSET)


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The samples of one segment, in decoding order."""

    data_start: int
    """Where in the segment their bytes begin."""
    sizes: array[int] = field(default_factory=lambda: array("i"))
    """In bytes."""
    durations: array[int] = field(default_factory=lambda: array("i"))
    """In the track's ticks."""
    offsets: array[int] = field(default_factory=lambda: array("i"))
    """From when a sample is decoded to when it is shown, in ticks."""

    @property
    def size_bytes(self) -> int:
        """Of all samples together."""
        return sum(self.sizes)


def samples_of(head: bytes) -> Samples:
    """The samples that a segment has, from its first `HEAD_BYTES`.

    Raises:
        CorruptFileError: this is no segment as the workers make them.
    """
    try:
        moof, data_start = _moof_and_data(head)
        traf = inside(moof, b"traf")
        defaults = _defaults(inside(traf, b"tfhd"))
        samples = Samples(data_start=data_start)
        for kind, content in boxes(traf):
            if kind == b"trun":
                _add_run(samples, content, defaults)
    except InvalidRequestError as error:
        raise CorruptFileError(f"A segment cannot be read: {error}") from error
    return samples


def _moof_and_data(head: bytes) -> tuple[bytes, int]:
    """The content of the `moof`, and where that of the `mdat` begins."""
    moof, position = b"", 0
    while header := box_header(head[position : position + LONG_HEADER_BYTES]):
        kind, start, size = header
        if kind == b"mdat":
            return moof, position + start
        if kind == b"moof":
            moof = head[position + start : position + size]
        position += max(size, start)
    raise InvalidRequestError("its media data is not where it should be.")


def _defaults(tfhd: bytes) -> Mapping[int, int]:
    """What holds for samples that say nothing themselves, by the flags of a run's fields."""
    given, position = flags(tfhd), 8  # behind version, flags and track id
    found = {}
    for flag, width in _TFHD_WIDTHS.items():
        if given & flag:
            found[flag] = uint(tfhd, position, width)
            position += width
    return {_TRUN_DURATION: found.get(_TFHD_DURATION, 0), _TRUN_SIZE: found.get(_TFHD_SIZE, 0)}


def _add_run(samples: Samples, trun: bytes, defaults: Mapping[int, int]) -> None:
    given, count = flags(trun), uint(trun, 4)
    present = [flag for flag in _TRUN_PER_SAMPLE if given & flag]
    start = 8 + 4 * bool(given & _TRUN_DATA_OFFSET) + 4 * bool(given & _TRUN_FIRST_FLAGS)
    table = _numbers(trun, start, count * len(present))

    def column(flag: int) -> array[int]:
        if flag in present:
            return table[present.index(flag) :: len(present)]
        return array("i", [defaults.get(flag, 0)]) * count

    samples.sizes.extend(column(_TRUN_SIZE))
    samples.durations.extend(column(_TRUN_DURATION))
    samples.offsets.extend(column(_TRUN_OFFSET))


def _numbers(data: bytes, start: int, count: int) -> array[int]:
    """Signed numbers of four bytes each: offsets may be below zero, and nothing else comes near 2 GiB."""
    end = start + 4 * count
    if len(data) < end:
        raise InvalidRequestError("an MP4 box is too short for what it should hold.")
    numbers = array("i", data[start:end])
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
