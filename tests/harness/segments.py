"""Media segments made by hand, for tests that look at bytes and not at pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.shared.boxes import box, full_box


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample of a segment."""

    data: bytes
    duration: int | None = None
    """None: what the segment says of all."""
    offset: int = 0


def u32(value: int) -> bytes:
    """A number as boxes have it."""
    return (value & 0xFFFFFFFF).to_bytes(4, "big")


def init_segment(
    *, timescale: int, sound: bool = False, media_start: int = 0, width: int = 160, height: int = 90
) -> bytes:
    """An initialisation segment of one track, as far as downloads look at it."""
    handler = b"soun" if sound else b"vide"
    shape = bytes(36) + u32(width << 16) + u32(height << 16)
    tkhd = full_box(b"tkhd", bytes(36), shape, flags=3)
    mdhd = full_box(b"mdhd", bytes(8), u32(timescale), bytes(8))
    hdlr = full_box(b"hdlr", bytes(4), handler, bytes(12), b"Handler\0")
    stbl = box(b"stbl", full_box(b"stsd", u32(1), box(b"test", bytes(8))), full_box(b"stts", u32(0)))
    media = full_box(b"smhd", bytes(4)) if sound else full_box(b"vmhd", bytes(8), flags=1)
    minf = box(b"minf", media, box(b"dinf"), stbl)
    edits = box(b"edts", full_box(b"elst", u32(1), u32(0), u32(media_start), u32(0x10000)))
    trak = box(b"trak", tkhd, edits, box(b"mdia", mdhd, hdlr, minf))
    return box(b"ftyp", b"iso5", bytes(4)) + box(b"moov", full_box(b"mvhd", bytes(96)), trak)


def media_segment(samples: Sequence[Sample], *, default_duration: int = 512, before: bytes = b"") -> bytes:
    """A segment of these samples; durations are listed only where one differs."""
    listed = any(sample.duration is not None for sample in samples)
    rows = (
        (u32(sample.duration or default_duration) if listed else b"")
        + u32(len(sample.data))
        + u32(sample.offset)
        for sample in samples
    )
    run_flags = 0x000001 | 0x000200 | 0x000800 | (0x000100 if listed else 0)
    trun = full_box(b"trun", u32(len(samples)), u32(0), *rows, version=1, flags=run_flags)
    tfhd = full_box(b"tfhd", u32(1), u32(default_duration), flags=0x020008)
    traf = box(b"traf", tfhd, full_box(b"tfdt", bytes(8), version=1), trun)
    moof = box(b"moof", full_box(b"mfhd", u32(1)), traf)
    return before + moof + box(b"mdat", *(sample.data for sample in samples))
