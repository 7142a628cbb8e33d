"""The steps of a verification: small ones, so that it can stop between any two of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.transcoder.verification.outline import Outline

_STRETCH_PIXELS: Final = 1920 * 1080 * 600
"""To be decoded in a step: some 20 s of 1080p, a few seconds of work."""
_MAX_SEGMENTS: Final = 150
"""Ten minutes."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Some segments of a track, one after the other."""

    outline: Outline
    numbers: range

    @property
    def files(self) -> list[str]:
        """What is looked at: the first stretch includes the initialisation segment."""
        segments = [self.outline.segment_file(number) for number in self.numbers]
        return segments if self.numbers.start else [self.outline.init_file, *segments]


def stretches(outlines: Sequence[Outline]) -> Iterator[Stretch]:
    """All tracks in stretches that take about the same time."""
    for outline in outlines:
        pixels = outline.pixels * outline.frames
        length = max(1, min(_MAX_SEGMENTS, _STRETCH_PIXELS // pixels))
        for first in range(0, outline.segments, length):
            yield Stretch(outline=outline, numbers=range(first, min(first + length, outline.segments)))
