"""How a source's pictures want to be shown, read from ffprobe's account of the first ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from services.transcoder.source import UNKNOWN, Look

_UNSAID: Final = frozenset({UNKNOWN, "unspecified", "reserved", ""})
_RGB: Final = ("rgb", "bgr", "gbr", "argb", "abgr", "pal8", "0rgb", "0bgr")
_FULL_RANGE_FORMATS: Final = ("yuvj",)
_ENCRYPTION: Final = "Encryption info"

Item = Mapping[str, Any]


def look_of(items: Sequence[Item]) -> Look | None:
    """What decoded frames say of themselves; None: there are none. The first says how all are to be read.

    Args:
        items: packets and frames, as ffprobe describes them.
    """
    frames = [item for item in items if item.get("type") == "frame"]
    if not frames:
        return None
    first = frames[0]
    pixels = str(first.get("pix_fmt", ""))
    return Look(
        interlaced=any(int(frame.get("interlaced_frame", 0)) for frame in frames),
        rgb=pixels.startswith(_RGB) or first.get("color_space") == "gbr",
        full_range=first.get("color_range") == "pc" or pixels.startswith(_FULL_RANGE_FORMATS),
        primaries=_said(first, "color_primaries"),
        transfer=_said(first, "color_transfer"),
        matrix=_said(first, "color_space"),
        peak_nits=_peak_nits(first.get("side_data_list", [])),
    )


def is_encrypted(items: Iterable[Item]) -> bool:
    """Whether packets are encrypted, as copy protection does it (ISO/IEC 23001-7)."""
    attached = (entry for item in items for entry in item.get("side_data_list", []))
    return any(entry.get("side_data_type") == _ENCRYPTION for entry in attached)


def _said(frame: Item, name: str) -> str:
    said = str(frame.get(name, UNKNOWN))
    return UNKNOWN if said in _UNSAID else said


def _peak_nits(side_data: Iterable[Item]) -> float | None:
    """Of the brightest pixel (MaxCLL) where that is told, else of the screen it was mastered on."""
    content, screen = 0.0, 0.0
    for entry in side_data:
        content = max(content, _number(entry.get("max_content")))
        screen = max(screen, _number(entry.get("max_luminance")))
    return content or screen or None


def _number(text: object) -> float:
    try:
        return float(Fraction(str(text)))
    except (ValueError, ZeroDivisionError):
        return 0.0
