"""The ladder of renditions: the sizes a video is encoded in, their codecs, and how many bits they may take.

A ladder is data, written in TOML or made from names of profiles. Pure: reading files is for others.
"""

from __future__ import annotations

import tomllib
from itertools import pairwise
from typing import Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)

from services.shared.encoding import Encoding
from services.shared.errors import InvalidRequestError, PermanentJobError
from services.shared.plan import Rational
from services.shared.tracks import Rendition
from services.transcoder.levels import level_of
from services.transcoder.profiles import BITS, Family, Profile, profile

RUNGS: Final = (240, 360, 480, 720, 1080, 1440, 2160)
"""Standard sizes by the picture's short side: a portrait video gets the same rungs as a landscape one."""

_MIN_STEP: Final = 1.25
"""A rung closer than this to the source's own size is left out: the eye can't tell them apart."""

_REFERENCE_PIXELS: Final = 1920 * 1080
_REFERENCE_BITRATE: Final = 5_000_000
_REFERENCE_FPS: Final = 30.0
_MIN_BITRATE: Final = 100_000
_MAX_REFERENCE_BITRATE: Final = 100_000_000
"""Ffmpeg counts bits with 31 bits: the largest pictures at 60 a second have twelve times as many, and the
decoder's buffer half as many again."""
_PIXEL_EXPONENT: Final = 0.75
"""Bits needed for equal quality grow with the picture's area to the power of 0.75 (Waggoner's rule)."""
_RATE_EXPONENT: Final = 0.5
"""Doubling the frame rate costs about 1.4 times the bits: neighbouring frames are more alike."""
_X264: Final = "libx264"
"""Gets its level from here. What other encoders of H.264 make of their efforts, they alone know."""


class Rungs(BaseModel):
    """The part of a ladder that one codec has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: str
    """What encodes it: one of `services.transcoder.profiles.PROFILES`."""
    lines: tuple[StrictInt, ...] = Field(default=RUNGS, min_length=1)
    """Sizes by the short side, ascending. The source's own size, up to the last of them, is always added."""
    bitrate: StrictInt | None = Field(default=None, ge=_MIN_BITRATE, le=_MAX_REFERENCE_BITRATE)
    """Cap in bits per second at 1920 by 1080 and 30 pictures per second, from which the others follow."""
    quality: StrictInt | None = Field(default=None, ge=1)
    """Constant quality on the encoder's own scale; None: the profile's."""
    preset: str | None = None
    """Effort in the encoder's own words; None: the profile's."""

    @field_validator("profile")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return profile(name).name
        except InvalidRequestError as error:
            raise ValueError(str(error)) from error

    @field_validator("lines")
    @classmethod
    def _ascending(cls, lines: tuple[int, ...]) -> tuple[int, ...]:
        if any(after <= before for before, after in pairwise((1, *lines))):
            raise ValueError("sizes must be above 1 and ascend")
        if any(size % 2 for size in lines):
            raise ValueError("sizes must be even")
        return lines

    @model_validator(mode="after")
    def _understood(self) -> Rungs:
        if self.preset is not None and self.preset not in self.chosen.presets:
            presets = ", ".join(self.chosen.presets)
            raise ValueError(f"{self.profile} has no preset {self.preset!r}; it has {presets}")
        if self.lines[0] < self.chosen.min_side:
            raise ValueError(f"{self.profile} has no sizes below {self.chosen.min_side}")
        if self.quality is not None and self.quality > self.chosen.coarsest:
            raise ValueError(f"{self.profile} has no quality beyond {self.chosen.coarsest}")
        return self

    @property
    def chosen(self) -> Profile:
        """The profile."""
        return profile(self.profile)

    def renditions(self, *, width: int, height: int, fps: Rational, needed: bool) -> list[Rendition]:
        """The rungs for a picture of that size, lowest first.

        Args:
            width: of the displayed picture, in square pixels.
            height: as well.
            fps: pictures per second.
            needed: whether there must be one, also where the picture is smaller than all sizes.
        """
        top = min(_floor_even(min(width, height)), self.lines[-1])
        if top < self.chosen.min_side or (top < self.lines[0] and not needed):
            return []
        below = (rung for rung in self.lines if rung * _MIN_STEP <= top)
        return [self._rendition(width, height, short, fps) for short in (*below, top)]

    def _rendition(self, width: int, height: int, short: int, fps: Rational) -> Rendition:
        chosen, scale = self.chosen, short / min(width, height)
        out_width, out_height = _scaled(width, scale), _scaled(height, scale)
        reference = self.bitrate or round(_REFERENCE_BITRATE * BITS[chosen.family])
        rung = Rendition(
            name=f"{short}p" if chosen.family is Family.H264 else f"{short}p-{chosen.family}",
            width=out_width,
            height=out_height,
            bitrate=max_bitrate(out_width, out_height, fps, reference=reference),
            encoding=Encoding(
                profile=chosen.name,
                preset=self.preset or chosen.preset,
                quality=self.quality or chosen.quality,
            ),
        )
        return _encoded(rung, level=level_of(rung, fps)) if chosen.encoder == _X264 else rung


class Ladder(BaseModel):
    """Which renditions a video gets: of one codec, or of several side by side, from which players choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codec: tuple[Rungs, ...] = Field(min_length=1)
    """The first one is what everybody gets: its lowest rung is what a video becomes playable with."""
    per_title: StrictBool = False
    """Whether a video that needs less quality than others gets less: see `services.transcoder.complexity`."""

    @field_validator("codec")
    @classmethod
    def _distinct(cls, codec: tuple[Rungs, ...]) -> tuple[Rungs, ...]:
        families = [rungs.chosen.family for rungs in codec]
        if len(set(families)) < len(families):
            raise ValueError("each kind of codec may occur once")
        if min(rungs.lines[0] for rungs in codec) < codec[0].lines[0]:
            raise ValueError("no codec may have a lower rung than the first one")
        return codec

    @property
    def profiles(self) -> tuple[str, ...]:
        """What it takes to encode it."""
        return tuple(rungs.profile for rungs in self.codec)

    def renditions(self, *, width: int, height: int, fps: Rational) -> tuple[Rendition, ...]:
        """The renditions for a displayed picture of `width` by `height` square pixels, lowest first.

        The highest rung has the source's own size (at most the ladder's last one), so nothing is ever
        enlarged and no detail is thrown away; below it stand the standard sizes. All dimensions are even,
        as 4:2:0 needs.

        Raises:
            PermanentJobError: the picture is too small for the ladder's first codec. Another ladder may have
                one that takes it, so that is no reason to throw the original away.
        """
        rungs = [
            rendition
            for place, part in enumerate(self.codec)
            for rendition in part.renditions(width=width, height=height, fps=fps, needed=place == 0)
        ]
        if not rungs or rungs[0].encoding.profile != self.codec[0].profile:
            raise PermanentJobError(
                f"The picture of {width} by {height} pixels is too small for {self.codec[0].profile}."
            )
        ordered = sorted(rungs, key=lambda rung: min(rung.width, rung.height))
        return tuple(_encoded(rung, stitchable=True) if self.per_title else rung for rung in ordered)


H264: Final = Ladder(codec=(Rungs(profile="h264"),))
"""What every player can play."""


def parse_ladder(text: str) -> Ladder:
    """The ladder that a TOML document describes.

    Raises:
        InvalidRequestError: it is none; the message says where and why.
    """
    try:
        return Ladder.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequestError(f"It is not TOML: {error}.") from error
    except ValidationError as error:
        raise InvalidRequestError(_complaints(error)) from error


def ladder_of(profiles: tuple[str, ...]) -> Ladder:
    """A ladder with all sizes in each of these profiles.

    Raises:
        InvalidRequestError: there is none like that.
    """
    try:
        return Ladder(codec=tuple(Rungs(profile=name) for name in profiles))
    except ValidationError as error:
        raise InvalidRequestError(_complaints(error)) from error


def max_bitrate(width: int, height: int, fps: Rational, *, reference: int = _REFERENCE_BITRATE) -> int:
    """The cap on a rendition's rate in bits per second, rounded to 1000, never below 100,000.

    Args:
        width: of its picture.
        height: as well.
        fps: pictures per second.
        reference: the cap at 1920 by 1080 and 30 pictures per second.
    """
    area: float = (width * height / _REFERENCE_PIXELS) ** _PIXEL_EXPONENT
    motion: float = max(1.0, float(fps) / _REFERENCE_FPS) ** _RATE_EXPONENT
    return max(_MIN_BITRATE, round(reference * area * motion / 1000) * 1000)


def _complaints(error: ValidationError) -> str:
    # A list whose items are wrong is called too short as well, which says nothing more.
    items = error.errors()
    telling = [item for item in items if item["type"] != "too_short"] or items
    said = (
        ".".join(map(str, item["loc"])) + ": " + item["msg"].removeprefix("Value error, ") for item in telling
    )
    return "; ".join(said)


def _encoded(rung: Rendition, **how: object) -> Rendition:
    return rung.model_copy(update={"encoding": rung.encoding.model_copy(update=how)})


def _scaled(side: int, scale: float) -> int:
    nearest = 2 * round(side * scale / 2)
    return min(max(2, nearest), _floor_even(side))


def _floor_even(side: int) -> int:
    return max(2, side - side % 2)
