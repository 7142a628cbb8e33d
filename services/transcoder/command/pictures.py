"""Still pictures."""

from __future__ import annotations

from typing import Final

import ffmpeg

from services.shared.storyboard import Storyboard
from services.shared.tracks import Rendition
from services.shared.treatment import Treatment
from services.transcoder.command.compiling import compiled
from services.transcoder.command.inputs import Input
from services.transcoder.command.treatment import converted, deinterlaced

_POSTER_S: Final = 10
_POSTER_BATCH_FRAMES: Final = 25


def poster(source: Input, rendition: Rendition, treatment: Treatment) -> list[str]:
    """A few typical pictures from the first seconds, as JPEG files one after the other on standard output."""
    opened = ffmpeg.input(source.url, t=_POSTER_S, threads=1, **source.options)
    small = (
        deinterlaced(opened["V:0"], treatment)
        .filter("scale", rendition.width, rendition.height, flags="bicubic")
        .filter("setsar", 1)
    )
    pictures = (
        converted(small, treatment)
        .filter("thumbnail", _POSTER_BATCH_FRAMES)
        .output("pipe:1", format="image2pipe", **{"c:v": "mjpeg", "q:v": 4, "fps_mode": "passthrough"})
    )
    return compiled([pictures])


def sheets(storyboard: Storyboard) -> list[str]:
    """Sheets of small pictures, as JPEG files in a row, of the key frames in an MP4 on standard input.

    One picture that cannot be decoded would shift all that follow: ffmpeg is to fail then.
    """
    given = ffmpeg.input("pipe:0", format="mp4", skip_frame="nokey", threads=1, protocol_whitelist="pipe")
    drawn = (
        given["V:0"]
        .filter("select", "key")
        .filter("scale", storyboard.tile_width, storyboard.tile_height, flags="bicubic", out_range="full")
        .filter("setsar", 1)
        .filter("format", "yuvj420p")
        .filter("tile", f"{storyboard.columns}x{storyboard.rows}")
        .output(
            "pipe:1",
            format="image2pipe",
            xerror=None,
            **{"c:v": "mjpeg", "q:v": 5, "fps_mode": "passthrough"},
        )
    )
    return compiled([drawn])
