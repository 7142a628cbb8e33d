"""The ladder of renditions: which sizes a video is encoded in, and how many bits each may take. Pure."""

from __future__ import annotations

from typing import Final

from services.shared.video import Rational, Rendition

RUNGS: Final = (240, 360, 480, 720, 1080, 1440, 2160)
"""Standard sizes by the picture's short side: a portrait video gets the same rungs as a landscape one."""

_MIN_STEP: Final = 1.25
"""A rung closer than this to the source's own size is left out: the eye can't tell them apart."""

_REFERENCE_PIXELS: Final = 1920 * 1080
_REFERENCE_BITRATE: Final = 5_000_000
_REFERENCE_FPS: Final = 30.0
_MIN_BITRATE: Final = 100_000
_PIXEL_EXPONENT: Final = 0.75
"""Bits needed for equal quality grow with the picture's area to the power of 0.75 (Waggoner's rule)."""
_RATE_EXPONENT: Final = 0.5
"""Doubling the frame rate costs about 1.4 times the bits: neighbouring frames are more alike."""


def ladder(*, width: int, height: int, fps: Rational) -> tuple[Rendition, ...]:
    """The renditions for a displayed picture of `width` by `height` square pixels, lowest first.

    The highest rung has the source's own size (at most 2160 lines), so nothing is ever enlarged and no
    detail is thrown away; below it stand the standard sizes. All dimensions are even, as 4:2:0 needs.
    """
    top = min(_floor_even(min(width, height)), RUNGS[-1])
    below = (rung for rung in RUNGS if rung * _MIN_STEP <= top)
    return tuple(_rendition(width, height, short, fps) for short in (*below, top))


def _rendition(width: int, height: int, short: int, fps: Rational) -> Rendition:
    scale = short / min(width, height)
    out_width, out_height = _scaled(width, scale), _scaled(height, scale)
    return Rendition(
        name=f"{short}p", width=out_width, height=out_height, bitrate=max_bitrate(out_width, out_height, fps)
    )


def max_bitrate(width: int, height: int, fps: Rational) -> int:
    """The cap on a rendition's rate in bits per second, rounded to 1000, never below 100,000."""
    area: float = (width * height / _REFERENCE_PIXELS) ** _PIXEL_EXPONENT
    motion: float = max(1.0, float(fps) / _REFERENCE_FPS) ** _RATE_EXPONENT
    return max(_MIN_BITRATE, round(_REFERENCE_BITRATE * area * motion / 1000) * 1000)


def _scaled(side: int, scale: float) -> int:
    nearest = 2 * round(side * scale / 2)
    return min(max(2, nearest), _floor_even(side))


def _floor_even(side: int) -> int:
    return max(2, side - side % 2)
