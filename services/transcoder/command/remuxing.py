"""A source in another container, its pictures as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import ffmpeg

from services.transcoder.command.compiling import compiled
from services.transcoder.command.inputs import Input

_MOST_HELD_S: Final = 60
"""No picture is decoded so much before it is shown, even where there is one every few seconds."""
_LOST: Final = f"eq(PTS\\,NOPTS)+gt((PTS-DTS)*TB\\,{_MOST_HELD_S})"
_TIMED: Final = f"setts=dts=DTS:pts=if({_LOST}\\,DTS\\,PTS)"
"""A picture that has lost its time, as by damage, is shown when it is decoded. Matroska refuses it otherwise,
and with it the whole film; one shown hours later would make the film as long."""
_AS_COUNTED: Final = "setts=pts=PTS-STARTPTS+STARTDTS:dts=DTS-STARTPTS+STARTDTS"
"""Moves all pictures so that the first is shown when it would be decoded. AVI only counts its pictures, and
ffmpeg adds the time that B-frames are held back; those who cut the film heard the sound without it."""


def remux(
    source: Input,
    places: Sequence[int],
    destination: Path,
    *,
    sound: str,
    counted: bool = False,
    leap_s: float | None = None,
) -> list[str]:
    """Bring streams into Matroska, for containers in which seeking loses frames. The clock begins at zero.

    Args:
        source: where to read.
        places: the streams' positions in the file, the video's first.
        destination: what to write.
        sound: its codec: `copy`, or what to encode it with.
        counted: whether the file numbers its pictures and has no time stamps.
        leap_s: a step of one stream by more is a leap of the clock, and taken back; None: it never leaps.
    """
    opened = ffmpeg.input(source.url, fflags="+genpts", **_clock(leap_s), **source.options)
    streams = [opened[str(place)] for place in places]
    times = f"{_TIMED},{_AS_COUNTED}" if counted else _TIMED
    made = {"format": "matroska", "c:v": "copy", "bsf:v": times, "c:a": sound, "c:s": "subrip"}
    return compiled([ffmpeg.output(*streams, f"file:{destination}", **made)])


def _clock(leap_s: float | None) -> dict[str, float | None]:
    if leap_s is None:
        return {"copyts": None, "start_at_zero": None}
    return {"dts_delta_threshold": leap_s}
