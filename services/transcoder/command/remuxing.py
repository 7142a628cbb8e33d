"""A source in another container, its streams as they are."""

from __future__ import annotations

from pathlib import Path

import ffmpeg

from services.transcoder.command.compiling import compiled
from services.transcoder.command.inputs import Input


def remux(source: Input, destination: Path) -> list[str]:
    """Copy the streams into Matroska, for containers in which seeking loses frames. Fresh timestamps."""
    opened = ffmpeg.input(source.url, fflags="+genpts", **source.options)
    copied = ffmpeg.output(
        opened["V:0"], opened["a?"], f"file:{destination}", codec="copy", format="matroska"
    )
    return compiled([copied])
