"""What becomes of broadcasts on their way: single packets of MPEG-TS that are damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_PACKET_BYTES: Final = 188
_PICTURES: Final = 0x100
"""Where ffmpeg puts the first stream."""
_SOUND: Final = 0x101
_HAS_PTS: Final = 0x80
_HAS_NOTHING: Final = 0x00


def without_a_sound_header(broadcast: Path, hurt: Path) -> None:
    """Damage the header of one AAC frame, and nothing else."""

    def damage(data: bytearray, unit: int) -> None:
        header = unit + 9 + data[unit + 8]
        assert data[header] == 0xFF
        data[header + 1 : header + 3] = b"\x00\x00"

    _change(broadcast, hurt, _SOUND, 8, damage)


def without_a_time(broadcast: Path, hurt: Path) -> None:
    """Take its time stamps from one picture."""

    def damage(data: bytearray, unit: int) -> None:
        assert data[unit + 7] & _HAS_PTS
        data[unit + 7] = _HAS_NOTHING

    _change(broadcast, hurt, _PICTURES, 101, damage)


def _change(
    broadcast: Path, changed: Path, stream: int, number: int, change: Callable[[bytearray, int], None]
) -> None:
    data = bytearray(broadcast.read_bytes())
    change(data, list(_units(data, stream))[number])
    changed.write_bytes(data)


def _units(data: bytearray, stream: int) -> Iterator[int]:
    """Where the elementary packets (PES) of a stream begin."""
    for start in range(0, len(data), _PACKET_BYTES):
        begins = data[start + 1] & 0x40
        if begins and int.from_bytes(data[start + 1 : start + 3]) & 0x1FFF == stream:
            adapted = data[start + 3] & 0x20
            yield start + 4 + (1 + data[start + 4] if adapted else 0)
