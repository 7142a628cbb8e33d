"""A source in another container, its pictures as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ffmpeg

from services.transcoder.command.compiling import compiled
from services.transcoder.command.inputs import Input


def remux(source: Input, places: Sequence[int], destination: Path, *, sound: str) -> list[str]:
    """Bring streams into Matroska, for containers in which seeking loses frames. Fresh timestamps.

    Args:
        source: where to read.
        places: the streams' positions in the file.
        destination: what to write.
        sound: its codec: `copy`, or what to encode it with.
    """
    opened = ffmpeg.input(source.url, fflags="+genpts", **source.options)
    streams = [opened[str(place)] for place in places]
    codecs = {"c:v": "copy", "c:a": sound}
    return compiled([ffmpeg.output(*streams, f"file:{destination}", format="matroska", **codecs)])
