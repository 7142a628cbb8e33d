"""Still pictures."""

from __future__ import annotations

from typing import Final

import ffmpeg

from services.shared.video import Rendition
from services.transcoder.command.compiling import compiled
from services.transcoder.command.inputs import Input

_POSTER_S: Final = 10
_POSTER_BATCH_FRAMES: Final = 25


def poster(source: Input, rendition: Rendition) -> list[str]:
    """A few typical pictures from the first seconds, as JPEG files one after the other on standard output."""
    opened = ffmpeg.input(source.url, t=_POSTER_S, threads=1, **source.options)
    pictures = (
        opened["V:0"]
        .filter("scale", rendition.width, rendition.height, flags="bicubic")
        .filter("setsar", 1)
        .filter("thumbnail", _POSTER_BATCH_FRAMES)
        .output("pipe:1", format="image2pipe", **{"c:v": "mjpeg", "q:v": 4, "fps_mode": "passthrough"})
    )
    return compiled([pictures])
