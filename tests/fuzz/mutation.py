"""Damage to a file, drawn from a seed. Pure."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Final

_MAX_WOUNDS: Final = 12
_MAX_CUT: Final = 4096
_EXTREMES: Final = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_HEAD_BYTES: Final = 2048
"""Where headers are, at the beginning or at the end, most of what a parser believes stands."""

Wound = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def mutant(seed: int, originals: Sequence[bytes]) -> bytes:
    """One of the originals, damaged: the same seed gives the same bytes.

    Args:
        seed: of the damage.
        originals: files to choose from, and to take foreign pieces from.
    """
    chance = random.Random(seed)
    data = bytearray(chance.choice(originals))
    for _ in range(chance.randint(1, _MAX_WOUNDS)):
        if data:
            chance.choice(_WOUNDS)(chance, data, originals)
    return bytes(data)


def _place(chance: random.Random, data: bytearray) -> int:
    """Anywhere, but mostly in the headers."""
    head = min(_HEAD_BYTES, len(data))
    where = chance.choice(("front", "back", "anywhere"))
    if where == "front":
        return chance.randrange(head)
    return len(data) - 1 - chance.randrange(head if where == "back" else len(data))


def _flip_bits(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    for _bit in range(chance.randint(1, 8)):
        data[_place(chance, data)] ^= 1 << chance.randrange(8)


def _set_extreme(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A number as large or small as it gets, in one of the widths and orders that containers have."""
    place = _place(chance, data)
    width, code = chance.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    value = chance.choice(_EXTREMES) & ((1 << 8 * width) - 1)
    written = struct.pack(chance.choice("<>") + code, value)
    data[place : place + width] = written[: len(data) - place]


def _cut_out(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    place = _place(chance, data)
    del data[place : place + chance.randint(1, _MAX_CUT)]


def _double(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    place = _place(chance, data)
    data[place:place] = data[place : place + chance.randint(1, _MAX_CUT)]


def _wipe(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    place = _place(chance, data)
    length = min(chance.randint(1, _MAX_CUT), len(data) - place)
    data[place : place + length] = bytes([chance.choice((0x00, 0xFF))]) * length


def _graft(chance: random.Random, data: bytearray, originals: Sequence[bytes]) -> None:
    other = chance.choice(originals)
    start = chance.randrange(len(other))
    piece = other[start : start + chance.randint(1, _MAX_CUT)]
    place = _place(chance, data)
    data[place : place + len(piece)] = piece


def _truncate(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[chance.randrange(1, len(data) + 1) :]


_WOUNDS: Final[tuple[Wound, ...]] = (
    *(_flip_bits, _flip_bits, _set_extreme, _set_extreme, _set_extreme),
    *(_cut_out, _double, _wipe, _graft, _truncate),
)
