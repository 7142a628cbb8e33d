"""Films whose pictures carry their own number, so that a test can read which one a browser shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.harness.sources import Recipe

BITS: Final = 11
_STRIP: Final = 12
"""The number stands in the top twelfth of the picture, lowest bit first, a white box for each that is set.
tests/harness/viewer.js reads it."""

_GREY: Final = 128
_TONE: Final = "sine=frequency=440:beep_factor=4:sample_rate=44100"


def numbers() -> str:
    """Filters that number pictures from 0."""
    boxes = [f"drawbox=w=iw:h=ih/{_STRIP}:color=black:t=fill"]
    for bit in range(BITS):
        box = f"drawbox=x=iw*{bit}/{BITS}:w=iw/{BITS}:h=ih/{_STRIP}:color=white:t=fill"
        boxes.append(f"{box}:enable='bitand(n,{1 << bit})'")
    return ",".join(boxes)


@dataclass(frozen=True, kw_only=True)
class NumberedFilm:
    """A film to upload, and what is to be seen of it."""

    recipe: Recipe
    fps: int
    duration_s: int
    width: int
    height: int
    has_sound: bool = True

    @property
    def name(self) -> str:
        """Of the file, and so of the video."""
        return self.recipe.name

    @property
    def frames(self) -> int:
        """How many pictures it has."""
        return self.fps * self.duration_s


def _film(
    name: str, *, width: int, height: int, fps: int = 25, duration_s: int = 12, has_sound: bool = True
) -> NumberedFilm:
    recipe = Recipe(
        name=name,
        size=f"{width}x{height}",
        rate=str(fps),
        duration_s=duration_s,
        filters=numbers(),
        sound=_TONE if has_sound else None,
    )
    return NumberedFilm(
        recipe=recipe, fps=fps, duration_s=duration_s, width=width, height=height, has_sound=has_sound
    )


def number_of(picture: bytes, width: int, height: int) -> int:
    """The number in a small picture, which comes as brightness, byte by byte."""
    line = height // _STRIP // 2 * width
    levels = [picture[line + width * (2 * bit + 1) // (2 * BITS)] for bit in range(BITS)]
    return sum((level > _GREY) << bit for bit, level in enumerate(levels))


def _turned(name: str) -> NumberedFilm:
    """Stored lying on its side, with the note to show it upright: as telephones do."""
    recipe = Recipe(
        name=name,
        size="180x320",
        duration_s=12,
        filters=f"{numbers()},transpose=clock",
        sound=_TONE,
        copy_before=(),
        copy_after=("-metadata:s:v", "rotate=90"),
    )
    return NumberedFilm(recipe=recipe, fps=25, duration_s=12, width=180, height=320)


LONG: Final = _film("numbered", width=640, height=360, duration_s=25)
"""Two qualities, seven segments in four pieces."""

MINUTE: Final = _film("numbered minute", width=640, height=360, duration_s=64)
"""Long enough that its beginning is made before all of it has been looked at."""

SIXTY: Final = _film("numbered 60", width=320, height=180, fps=60)
"""One quality, three segments in two pieces; so are the other short ones."""

BOARDED: Final = _film("numbered board", width=320, height=180, duration_s=113, fps=5, has_sound=False)
"""Pictures for more than one sheet: 29 segments."""

BRIEF: Final = _film("numbered brief", width=320, height=180, fps=24, duration_s=8, has_sound=False)
"""One quality, a piece of one segment and another one."""

SHORT: Final = (
    _film("numbered silent 24", width=320, height=180, fps=24, has_sound=False),
    SIXTY,
    _film("numbered portrait", width=180, height=320),
    _turned("numbered turned"),
)
