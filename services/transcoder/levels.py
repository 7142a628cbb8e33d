"""Levels of H.264: what a stream may ask of its decoder. Pure.

x264 would choose one by itself, and the same one, but for the smallest pictures: for them it takes 1b, which
browsers do not know by the name it has in High profile (`avc1.640009`). And chosen here, it is known before
anything has been encoded.

Source: ITU-T H.264, Table A-1; A.3.1 for the shape of pictures, A.3.3 for rates in High profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from services.shared.plan import Rational
from services.shared.tracks import Rendition

_MACROBLOCK: Final = 16
_HIGH_FACTOR: Final = 1250
_BASELINE_FACTOR: Final = 1000
"""Bits for each unit in which the table has rates and buffers; High profile may have a quarter more."""

_BASELINE_PRESET: Final = "ultrafast"
"""Whatever profile is asked for: this effort of x264 uses nothing that would need a higher one."""

_HELD_FRAMES: Final = {"ultrafast": 1, "slow": 5, "slower": 8, "veryslow": 16, "placebo": 16}
_PYRAMID_FRAMES: Final = 4
"""What a decoder must hold for x264's efforts: as many pictures as are referred to, and four at least where
B-frames are referred to as well."""


@dataclass(frozen=True)
class _Level:
    """A line of Table A-1: its name, and what it allows at most, in macroblocks and in units of bits."""

    name: str
    blocks_per_s: int
    frame_blocks: int
    held_blocks: int
    rate: int
    buffer: int

    def allows(self, rung: Rendition, fps: Rational) -> bool:
        columns, rows = ceil(rung.width / _MACROBLOCK), ceil(rung.height / _MACROBLOCK)
        blocks, preset = columns * rows, rung.encoding.preset
        factor = _BASELINE_FACTOR if preset == _BASELINE_PRESET else _HIGH_FACTOR
        return (
            blocks <= self.frame_blocks
            and max(columns, rows) ** 2 <= 8 * self.frame_blocks
            and blocks * fps.num <= self.blocks_per_s * fps.den
            and blocks * _HELD_FRAMES.get(preset, _PYRAMID_FRAMES) <= self.held_blocks
            and rung.bitrate <= self.rate * factor
            and rung.buffer_bits <= self.buffer * factor
        )


_LEVELS: Final = (
    _Level("1.1", 3_000, 396, 900, 192, 500),
    _Level("1.2", 6_000, 396, 2_376, 384, 1_000),
    _Level("1.3", 11_880, 396, 2_376, 768, 2_000),
    _Level("2", 11_880, 396, 2_376, 2_000, 2_000),
    _Level("2.1", 19_800, 792, 4_752, 4_000, 4_000),
    _Level("2.2", 20_250, 1_620, 8_100, 4_000, 4_000),
    _Level("3", 40_500, 1_620, 8_100, 10_000, 10_000),
    _Level("3.1", 108_000, 3_600, 18_000, 14_000, 14_000),
    _Level("3.2", 216_000, 5_120, 20_480, 20_000, 20_000),
    _Level("4", 245_760, 8_192, 32_768, 20_000, 25_000),
    _Level("4.1", 245_760, 8_192, 32_768, 50_000, 62_500),
    _Level("4.2", 522_240, 8_704, 34_816, 50_000, 62_500),
    _Level("5", 589_824, 22_080, 110_400, 135_000, 135_000),
    _Level("5.1", 983_040, 36_864, 184_320, 240_000, 240_000),
    _Level("5.2", 2_073_600, 36_864, 184_320, 240_000, 240_000),
    _Level("6", 4_177_920, 139_264, 696_320, 240_000, 240_000),
    _Level("6.1", 8_355_840, 139_264, 696_320, 480_000, 480_000),
    _Level("6.2", 16_711_680, 139_264, 696_320, 800_000, 800_000),
)


def level_of(rung: Rendition, fps: Rational) -> str:
    """The least level that allows what x264 makes of a rung: 1.1 or above; the highest where none does."""
    return next((level.name for level in _LEVELS if level.allows(rung, fps)), _LEVELS[-1].name)
