"""Fragmented MP4 as it arrives: one initialisation segment, then one media segment per fragment. Pure.

ffmpeg writes `ftyp moov`, then `moof mdat` again and again; other top-level boxes in between (`styp`, `sidx`)
belong to the segment that follows. Box layouts are those of ISO/IEC 14496-12.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.shared.boxes import box_header, boxes, flags, inside, uint
from services.shared.errors import InvalidRequestError
from services.transcoder.sample_entry import AAC_LC, CONFIGURATIONS, VISUAL_ENTRY_BYTES, codec_string

_TFHD_BASE_DATA_OFFSET: Final = 0x000001
_TFHD_DESCRIPTION_INDEX: Final = 0x000002
_TFHD_DEFAULT_DURATION: Final = 0x000008
_TRUN_DATA_OFFSET: Final = 0x000001
_TRUN_FIRST_FLAGS: Final = 0x000004
_TRUN_DURATION: Final = 0x000100
_TRUN_PER_SAMPLE: Final = (_TRUN_DURATION, 0x000200, 0x000400, 0x000800)


@dataclass(frozen=True, kw_only=True)
class InitSegment:
    """`ftyp` and `moov`: how to decode what follows."""

    data: bytes
    timescale: int
    """Ticks per second of the track's times."""
    codec: str
    """RFC 6381, e.g. `avc1.64001f`."""


@dataclass(frozen=True, kw_only=True)
class MediaSegment:
    """One fragment with everything that precedes it since the last one."""

    data: bytes
    decode_time: int
    """Of its first sample, in the track's ticks (`tfdt`)."""
    samples: int
    duration: int
    """Sum of its samples' durations in ticks."""


class FragmentParser:
    """Turns bytes, in whatever portions they come, into whole segments.

    Args:
        max_box_bytes: the largest box accepted; what is not yet a whole segment is held in memory.
    """

    def __init__(self, *, max_box_bytes: int = 256 * 1024 * 1024) -> None:
        self._max_box_bytes = max_box_bytes
        self._buffer = bytearray()
        self._segment = bytearray()
        self._moof = b""

    def feed(self, data: bytes) -> Iterator[InitSegment | MediaSegment]:
        """The segments that `data` completes.

        Raises:
            InvalidRequestError: this is not fragmented MP4 of one track.
        """
        self._buffer += data
        while (box := self._next_box()) is not None:
            kind, content = box
            if kind == b"moov":
                yield _init_segment(self._taken(), content)
            elif kind == b"moof":
                self._moof = content
            elif kind == b"mdat":
                yield _media_segment(self._taken(), self._moof)

    def close(self) -> None:
        """Make sure that nothing incomplete is left.

        Raises:
            InvalidRequestError: the stream ended within a segment.
        """
        if self._buffer or self._segment:
            raise InvalidRequestError("The MP4 stream ended in the middle of a segment.")

    def _next_box(self) -> tuple[bytes, bytes] | None:
        """Kind and content of the next box once it is all there; its bytes move to the current segment."""
        header = box_header(self._buffer)
        if header is None:
            return None
        kind, start, size = header
        if not start <= size <= self._max_box_bytes:
            raise InvalidRequestError(f"An MP4 box claims {size} bytes.")
        if len(self._buffer) < size:
            return None
        content = b"" if kind == b"mdat" else bytes(self._buffer[start:size])
        self._segment += self._buffer[:size]
        del self._buffer[:size]
        return kind, content

    def _taken(self) -> bytes:
        data = bytes(self._segment)
        self._segment.clear()
        return data


def _init_segment(data: bytes, moov: bytes) -> InitSegment:
    media = inside(moov, b"trak", b"mdia")
    return InitSegment(data=data, timescale=_timescale(inside(media, b"mdhd")), codec=_codec(media))


def _timescale(mdhd: bytes) -> int:
    # Version, flags, then creation and modification time of 4 bytes each, or 8 in version 1.
    return uint(mdhd, 20 if uint(mdhd, 0, 1) == 1 else 12)


def _codec(media: bytes) -> str:
    # Version, flags and the number of entries stand before the sample entries.
    entries = inside(media, b"minf", b"stbl", b"stsd")[8:]
    kind, entry = next(boxes(entries), (b"", b""))
    if kind == b"mp4a":
        return AAC_LC
    if kind not in CONFIGURATIONS:
        raise InvalidRequestError(f"The MP4 stream holds {kind!r}, no codec that is known here.")
    try:
        return codec_string(kind, inside(entry[VISUAL_ENTRY_BYTES:], CONFIGURATIONS[kind]))
    except IndexError:
        raise InvalidRequestError("The MP4 stream's decoder configuration is too short.") from None


def _media_segment(data: bytes, moof: bytes) -> MediaSegment:
    traf = inside(moof, b"traf")
    default = _default_duration(inside(traf, b"tfhd"))
    runs = [_run(content, default) for kind, content in boxes(traf) if kind == b"trun"]
    return MediaSegment(
        data=data,
        decode_time=_decode_time(inside(traf, b"tfdt")),
        samples=sum(samples for samples, _ in runs),
        duration=sum(duration for _, duration in runs),
    )


def _decode_time(tfdt: bytes) -> int:
    return uint(tfdt, 4, 8 if uint(tfdt, 0, 1) == 1 else 4)


def _default_duration(tfhd: bytes) -> int:
    given = flags(tfhd)
    if not given & _TFHD_DEFAULT_DURATION:
        return 0
    # Version, flags and track id, then whichever of the optional fields come before the duration.
    offset = 8 + 8 * bool(given & _TFHD_BASE_DATA_OFFSET) + 4 * bool(given & _TFHD_DESCRIPTION_INDEX)
    return uint(tfhd, offset)


def _run(trun: bytes, default_duration: int) -> tuple[int, int]:
    """Number of samples and their total duration."""
    given = flags(trun)
    samples = uint(trun, 4)
    if not given & _TRUN_DURATION:
        return samples, samples * default_duration
    start = 8 + 4 * bool(given & _TRUN_DATA_OFFSET) + 4 * bool(given & _TRUN_FIRST_FLAGS)
    stride = 4 * sum(bool(given & field) for field in _TRUN_PER_SAMPLE)
    ends = range(start, start + samples * stride, stride)
    return samples, sum(uint(trun, offset) for offset in ends)
