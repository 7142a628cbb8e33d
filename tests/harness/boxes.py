"""Fragments of MP4 with nothing in them, in any form: no encoder makes them as wrong as tests want them."""

from __future__ import annotations

_DEFAULT_DURATION = 0x000008
_VERSION_1 = 1 << 24


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def segment(*, begins: int, frames: int, ticks: int) -> bytes:
    """A media segment of frames that last `ticks` each."""
    tfhd = box(b"tfhd", _DEFAULT_DURATION.to_bytes(4, "big") + bytes(4) + ticks.to_bytes(4, "big"))
    tfdt = box(b"tfdt", _VERSION_1.to_bytes(4, "big") + begins.to_bytes(8, "big"))
    trun = box(b"trun", bytes(4) + frames.to_bytes(4, "big"))
    return box(b"moof", box(b"traf", tfhd + tfdt + trun)) + box(b"mdat", b"data")
