"""The ways in which pictures can be encoded: which encoder, how carefully, and what it cannot do. Pure data.

Each rendition in a plan names one of these profiles. Those that need hardware are offered like the others;
whether a machine has what it takes is found out by trying (`services.transcoder.encoders`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.shared.errors import InvalidRequestError


class Family(StrEnum):
    """What the result is: players can play a family, or they can't, whoever encoded it."""

    H264 = "h264"
    HEVC = "hevc"
    VP9 = "vp9"
    AV1 = "av1"


BITS: Final[Mapping[Family, float]] = {Family.H264: 1.0, Family.HEVC: 0.7, Family.VP9: 0.75, Family.AV1: 0.6}
"""The share of H.264's bits with which a family looks as good; caps on rates are lowered by it. Rough, and on
the generous side of what comparisons find (20 to 50 % saved): a cap is there for the worst scenes."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One way to encode."""

    name: str
    family: Family
    encoder: str
    """ffmpeg's name for it."""
    preset: str
    """Effort, in the encoder's own words, unless the ladder says otherwise."""
    quality: int
    """Constant quality on the encoder's own scale, unless the ladder says otherwise."""
    coarsest: int = 51
    """The end of that scale."""
    step: float = 1.0
    """What changes the size on that scale by as much as 1 does on x264's: about an eighth."""
    presets: tuple[str, ...]
    """All of its efforts, fastest first."""
    min_side: int = 16
    """Smaller pictures it does not take."""
    pixel_format: str = "yuv420p"
    """How it wants its pictures: 4:2:0 with 8 bits in all cases, but not in the same order."""
    device: str | None = None
    """ffmpeg's name for the kind of device that pictures must be uploaded to first."""


_X26X_PRESETS: Final = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)


def _descending(fastest: int) -> tuple[str, ...]:
    return tuple(str(effort) for effort in range(fastest, -1, -1))


_SOFTWARE: Final = (
    Profile(
        name="h264",
        family=Family.H264,
        encoder="libx264",
        preset="veryfast",
        quality=23,
        presets=_X26X_PRESETS,
    ),
    Profile(
        name="hevc",
        family=Family.HEVC,
        encoder="libx265",
        preset="veryfast",
        quality=25,
        presets=_X26X_PRESETS,
    ),
    Profile(
        name="vp9",
        family=Family.VP9,
        encoder="libvpx-vp9",
        preset="5",
        quality=38,
        coarsest=63,
        step=1.25,
        presets=_descending(8),
    ),
    Profile(
        name="av1",
        family=Family.AV1,
        encoder="libsvtav1",
        preset="10",
        quality=38,
        coarsest=63,
        step=1.25,
        presets=_descending(13),
        min_side=64,
    ),
)


def _hardware(family: Family, quality: int) -> tuple[Profile, ...]:
    """A family on NVIDIA's, on Intel's and AMD's (by Linux's common interface), and on Intel's hardware."""
    return (
        Profile(
            name=f"{family}_nvenc",
            family=family,
            encoder=f"{family}_nvenc",
            preset="p5",
            quality=quality,
            presets=tuple(f"p{effort}" for effort in range(1, 8)),
            min_side=146,
        ),
        Profile(
            name=f"{family}_vaapi",
            family=family,
            encoder=f"{family}_vaapi",
            preset="4",
            quality=quality,
            presets=_descending(7),
            min_side=128,
            pixel_format="nv12",
            device="vaapi",
        ),
        Profile(
            name=f"{family}_qsv",
            family=family,
            encoder=f"{family}_qsv",
            preset="medium",
            quality=quality,
            presets=("veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"),
            min_side=128,
            pixel_format="nv12",
        ),
    )


PROFILES: Final[Mapping[str, Profile]] = {
    known.name: known for known in (*_SOFTWARE, *_hardware(Family.H264, 24), *_hardware(Family.HEVC, 27))
}
"""All profiles by name; the first four run on any processor."""


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        InvalidRequestError: there is none.
    """
    if name not in PROFILES:
        raise InvalidRequestError(f"There is no codec profile {name!r}; there are {', '.join(PROFILES)}.")
    return PROFILES[name]
