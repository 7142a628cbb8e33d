"""What a sample entry says about its codec, in the words of RFC 6381: what players ask a browser about. Pure.

Each codec defines its own suffix, taken from the configuration box in its entry: ISO/IEC 14496-15 for H.264
and HEVC, the WebM project's "VP Codec ISO Media File Format Binding", the Alliance for Open Media's "AV1
Codec ISO Media File Format Binding".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

AAC_LC: Final = "mp4a.40.2"

VISUAL_ENTRY_BYTES: Final = 78
"""Fixed fields of a picture track's sample entry, before the boxes inside it."""

CONFIGURATIONS: Final[Mapping[bytes, bytes]] = {
    b"avc1": b"avcC",
    b"hvc1": b"hvcC",
    b"vp09": b"vpcC",
    b"av01": b"av1C",
}
"""The box with the decoder's configuration, by the kind of the entry around it."""


def codec_string(kind: bytes, configuration: bytes) -> str:
    """The codec of a picture track, e.g. `avc1.64001f`.

    Args:
        kind: of the sample entry, one of `CONFIGURATIONS`.
        configuration: content of its configuration box.

    Raises:
        IndexError: the configuration is too short.
    """
    return f"{kind.decode()}.{_SUFFIXES[kind](configuration)}"


def _h264(avcc: bytes) -> str:
    profile, constraints, level = (avcc[position] for position in (1, 2, 3))
    return f"{profile:02x}{constraints:02x}{level:02x}"


def _hevc(hvcc: bytes) -> str:
    space = ("", "A", "B", "C")[hvcc[1] >> 6]
    tier = "H" if hvcc[1] & 0x20 else "L"
    # Bit 31 stands for profile 0 in the file, and bit 0 in the string.
    compatible = int(f"{int.from_bytes(hvcc[2:6], 'big'):032b}"[::-1], 2)
    constraints = [f".{byte:X}" for byte in hvcc[6:12].rstrip(b"\0")]
    return f"{space}{hvcc[1] & 0x1F}.{compatible:X}.{tier}{hvcc[12]}{''.join(constraints)}"


def _vp9(vpcc: bytes) -> str:
    # Version and flags come first; then profile, level, and the bit depth in the upper half of a byte.
    return f"{vpcc[4]:02d}.{vpcc[5]:02d}.{vpcc[6] >> 4:02d}"


def _av1(av1c: bytes) -> str:
    tier = "H" if av1c[2] & 0x80 else "M"
    return f"{av1c[1] >> 5}.{av1c[1] & 0x1F:02d}{tier}.{_av1_depth(av1c[2]):02d}"


def _av1_depth(flags: int) -> int:
    if not flags & 0x40:
        return 8
    return 12 if flags & 0x20 else 10


_SUFFIXES: Final[Mapping[bytes, Callable[[bytes], str]]] = {
    b"avc1": _h264,
    b"hvc1": _hevc,
    b"vp09": _vp9,
    b"av01": _av1,
}
