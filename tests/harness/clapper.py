"""Films like those with a clapperboard: numbered pictures that flash white, and a beep, at the same times.

What becomes of such a film tells by itself whether it is right: each picture says which it is, and a flash
and its beep say whether sound and picture are together.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from services.shared.tracks import AAC_FRAME_SAMPLES, AUDIO_RATE_HZ
from tests.harness.media import run
from tests.harness.numbered import BITS, numbers
from tests.harness.sources import Recipe

CLAPS_S: Final = (1.0, 7.0)
"""At head and tail of a film."""
LENGTH_S: Final = 9
SIZE: Final = "176x96"

_FLASH_S: Final = 0.2
_BEEP_S: Final = 0.1
_EARLY_S: Final = 0.001
"""By which the first bright picture may be early: its time is rounded."""
_BRIGHT: Final = 190
_GREY: Final = 128
_LOUD: Final = 3000
_READ: Final = (
    "format=gray,split[number][light];"
    f"[number]crop=iw:ih/24:0:ih/48,scale={BITS}:1:flags=area[bits];"
    "[light]crop=iw:ih/2:0:ih/2,scale=1:1:flags=area[level];"
    "[bits][level]hstack"
)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One picture of a film."""

    number: int
    bright: bool


def pictures(claps_s: Sequence[float] = CLAPS_S) -> str:
    """Filters that number pictures and let them flash."""
    times = _any([(clap - _EARLY_S, clap + _FLASH_S - 2 * _EARLY_S) for clap in claps_s])
    return f"{numbers()},drawbox=y=ih/4:w=iw:h=ih:color=white:t=fill:enable='{times}'"


def beeps(
    claps_s: Sequence[float] = CLAPS_S,
    *,
    length_s: float = LENGTH_S,
    rate_hz: int = 48_000,
    layout: str = "mono",
) -> str:
    """A source of sound that beeps."""
    times = _any([(clap, clap + _BEEP_S) for clap in claps_s])
    beep = f"aevalsrc='if({times},0.8*sin(2*PI*1000*t),0)':s={rate_hz}:d={length_s}"
    return f"{beep},aformat=channel_layouts={layout}"


def shown_in(path: Path, *, before: str = "null") -> list[Shown]:
    """The pictures of a file, as one process decodes them.

    Args:
        path: the file.
        before: filters for the pictures before they are read.
    """
    decoded = ("-i", str(path), "-map", "0:V:0", "-fps_mode", "passthrough")
    graph = f"{before},{_READ}"
    raw = run(["ffmpeg", "-v", "error", *decoded, "-vf", graph, "-f", "rawvideo", "-pix_fmt", "gray", "-"])
    levels = [raw[start : start + BITS + 1] for start in range(0, len(raw), BITS + 1)]
    return [Shown(number=_number(level[:BITS]), bright=level[BITS] > _BRIGHT) for level in levels]


def flashes_s(shown: Sequence[Shown], *, fps: float) -> list[float]:
    """When the pictures of a film of constant rate begin to be bright."""
    bright = [False, *(picture.bright for picture in shown)]
    return [n / fps for n in range(len(shown)) if bright[n + 1] and not bright[n]]


def beeps_s(path: Path) -> list[float]:
    """When beeps begin in a sound track of ours, for players that take off the encoder's delay."""
    return [(n - AAC_FRAME_SAMPLES) / AUDIO_RATE_HZ for n in _beginnings(_heard(path))]


def pitches_hz(path: Path) -> list[float]:
    """How high those beeps are."""
    samples = _heard(path)
    count = round(_BEEP_S / 2 * AUDIO_RATE_HZ)
    middles = (samples[n + count // 2 : n + count // 2 + count] for n in _beginnings(samples))
    rises = (sum(before < 0 <= after for before, after in pairwise(middle)) for middle in middles)
    return [rise * AUDIO_RATE_HZ / count for rise in rises]


def _heard(path: Path) -> array[int]:
    samples = array("h")
    samples.frombytes(run(["ffmpeg", "-v", "error", "-i", str(path), "-ac", "1", "-f", "s16le", "-"]))
    return samples


def _beginnings(samples: array[int]) -> list[int]:
    loud = [n for n, level in enumerate(samples) if abs(level) > _LOUD]
    quiet = AUDIO_RATE_HZ // 2
    return [n for before, n in zip([-quiet, *loud], loud, strict=False) if n - before >= quiet]


def film(
    name: str,
    *,
    claps_s: Sequence[float] = CLAPS_S,
    before: str = "null",
    filters: str = "null",
    **changes: Any,
) -> Recipe:
    """A recipe for such a film.

    Args:
        name: of the file.
        claps_s: when it claps.
        before: filters for the pictures before they are numbered.
        filters: those for afterwards.
        changes: to the recipe otherwise.
    """
    recipe = Recipe(
        name=name,
        size=SIZE,
        duration_s=LENGTH_S,
        filters=f"{before},{pictures(claps_s)},{filters}",
        sound=beeps(claps_s),
    )
    return replace(recipe, **changes)


def _any(spans_s: Sequence[tuple[float, float]]) -> str:
    """For ffmpeg: whether the time lies in one of some spans."""
    return "+".join(["0", *(f"between(t,{start},{end})" for start, end in spans_s)])


def _number(levels: bytes) -> int:
    return sum((level > _GREY) << bit for bit, level in enumerate(levels))
