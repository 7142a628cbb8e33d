"""Still pictures."""

from __future__ import annotations

from typing import Any, Final

import ffmpeg

from services.shared.storyboard import Storyboard
from services.shared.tracks import Rendition
from services.shared.treatment import Treatment
from services.transcoder.command.compiling import compiled
from services.transcoder.command.inputs import Input
from services.transcoder.command.treatment import converted, deinterlaced

_KEY_FRAMES_S: Final = 16
"""Sources have a key frame every 2 to 10 seconds, most of them."""
_POSTER_S: Final = 10
_POSTERS_PER_S: Final = 4
_POSTER_BATCH_FRAMES: Final = 4


def key_pictures(source: Input, rendition: Rendition, treatment: Treatment) -> list[str]:
    """The key frames of the first seconds, as JPEG files one after the other on standard output.

    Nothing else is decoded, which takes a tenth of the time of `typical_pictures`.
    """
    opened = ffmpeg.input(source.url, t=_KEY_FRAMES_S, skip_frame="nokey", threads=1, **source.options)
    return _jpegs(_spaced(opened["V:0"]), rendition, treatment)


def typical_pictures(source: Input, rendition: Rendition, treatment: Treatment) -> list[str]:
    """The most typical of a few pictures of each of the first seconds, in the same way."""
    opened = ffmpeg.input(source.url, t=_POSTER_S, threads=1, **source.options)
    few = _spaced(deinterlaced(opened["V:0"], treatment))
    return _jpegs(few, rendition, treatment, batch_frames=_POSTER_BATCH_FRAMES)


def _spaced(video: Any) -> Any:
    """Some pictures a second. What comes after this costs more than decoding does."""
    apart_s = 1 / _POSTERS_PER_S
    return video.filter("select", f"isnan(prev_selected_t)+gte(t-prev_selected_t,{apart_s})")


def _jpegs(video: Any, rendition: Rendition, treatment: Treatment, *, batch_frames: int = 0) -> list[str]:
    small = video.filter("scale", rendition.width, rendition.height, flags="bicubic").filter("setsar", 1)
    pictures = converted(small, treatment)
    if batch_frames:
        pictures = pictures.filter("thumbnail", batch_frames)
    output = {"c:v": "mjpeg", "q:v": 4, "fps_mode": "passthrough"}
    return compiled([pictures.output("pipe:1", format="image2pipe", **output)])


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
