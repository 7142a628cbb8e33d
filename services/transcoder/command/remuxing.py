"""A source in another container, its pictures as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
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
_AS_NUMBERED: Final = "setts=pts=PTS-STARTPTS+STARTDTS:dts=DTS-STARTPTS+STARTDTS"
"""Moves all pictures so that the first is shown when it would be decoded. AVI only numbers its pictures, and
ffmpeg adds the time that B-frames are held back; those who cut the film heard the sound without it."""
_AS_DECODED: Final = "setts=pts=DTS:dts=DTS"


class Times(Enum):
    """Where the pictures' times come from."""

    TOLD = _TIMED
    """The file has them."""
    NUMBERED = f"{_TIMED},{_AS_NUMBERED}"
    """The file numbers its pictures, and how long each is held back follows from what kind it is."""
    DECODING = _AS_DECODED
    """The file numbers its pictures, and only a decoder can tell in which order they are shown. Each gets the
    time of its place in the file: how many there are and from when to when is right, the order is not."""


def remux(
    source: Input,
    places: Sequence[int],
    destination: Path,
    *,
    sound: str,
    frames: Mapping[int, str],
    times: Times = Times.TOLD,
    leap_s: float | None = None,
) -> list[str]:
    """Bring streams into Matroska, for containers in which seeking loses frames. The clock begins at zero.

    Args:
        source: where to read.
        places: the streams' positions in the file, the video's first.
        destination: what to write.
        sound: its codec: `copy`, or what to encode it with.
        frames: where to write the bare frames of some of those streams, AAC as it is broadcast.
        times: where those of the pictures come from.
        leap_s: a step of one stream by more is a leap of the clock, and taken back; None: it never leaps.
    """
    opened = ffmpeg.input(source.url, fflags="+genpts", **_clock(leap_s), **source.options)
    streams = [opened[str(place)] for place in places]
    made = {"format": "matroska", "c:v": "copy", "bsf:v": times.value, "c:a": sound, "c:s": "subrip"}
    bare = [opened[str(place)].output(url, format="adts", c="copy") for place, url in frames.items()]
    return compiled([ffmpeg.output(*streams, f"file:{destination}", **made), *bare])


def _clock(leap_s: float | None) -> dict[str, float | None]:
    if leap_s is None:
        return {"copyts": None, "start_at_zero": None}
    return {"dts_delta_threshold": leap_s}
