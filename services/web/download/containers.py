"""The suffix that a file of unknown name ought to have, from its first bytes. Pure."""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 1024
"""How much of a file `suffix_of` wants to see."""

_TS_PACKET_BYTES: Final = 188
_TS_SYNC: Final = 0x47
_M2TS_PREFIX_BYTES: Final = 4
_MAGIC: Final[tuple[tuple[int, bytes, str], ...]] = (
    (8, b"qt  ", ".mov"),
    (4, b"ftyp", ".mp4"),
    (4, b"moov", ".mov"),
    (4, b"mdat", ".mov"),
    (4, b"wide", ".mov"),
    (8, b"AVI ", ".avi"),
    (0, b"FLV", ".flv"),
    (0, b"OggS", ".ogv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ".wmv"),
    (0, b"\x00\x00\x01\xba", ".mpg"),
    (0, b"\x06\x0e\x2b\x34", ".mxf"),
)
"""What stands where in which kind of file; the first that fits decides."""

_EBML: Final = b"\x1a\x45\xdf\xa3"


def suffix_of(head: bytes) -> str:
    """The suffix, with its dot; empty where nobody can tell."""
    if head.startswith(_EBML):
        return ".webm" if b"webm" in head[:64] else ".mkv"
    found = next((suffix for at, magic, suffix in _MAGIC if head[at:].startswith(magic)), "")
    return found or _transport_stream(head)


def _transport_stream(head: bytes) -> str:
    for prefix, suffix in ((0, ".ts"), (_M2TS_PREFIX_BYTES, ".m2ts")):
        packets = head[prefix :: _TS_PACKET_BYTES + prefix]
        if len(packets) > 1 and set(packets) == {_TS_SYNC}:
            return suffix
    return ""
