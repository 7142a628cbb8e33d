"""The still picture that stands for a video in the library and before playback."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from services.shared.errors import PermanentJobError
from services.shared.plan import Plan
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.process import ExitError, Limits, collect

_POSTER_LINES: Final = 480
_ENOUGH: Final = 3
"""Pictures to choose from."""
_MAX_BYTES: Final = 64 * 1024 * 1024
JPEG_END: Final = b"\xff\xd9"
"""In JPEG data 0xFF is always followed by a marker or a stuffed zero, so this marker ends the file."""

_LIMITS: Final = Limits(wall_s=300, cpu_s=600, silence_s=300)
"""Nothing is heard before the first batch of pictures is decoded, so silence is no sign of a fault here."""


async def make_poster(source: Input, plan: Plan, *, limits: Limits = _LIMITS) -> bytes:
    """A JPEG of one of the first seconds.

    It is one of the source's key frames, cheap to have and often the first pictures of scenes. Where there
    are too few to choose from, or they are made of two fields, all pictures are decoded. Of those at
    hand the one that needs most bytes has most to show, so that a video that fades in from black is not
    represented by black.

    Raises:
        PermanentJobError: nothing could be decoded.
        TransientJobError: a limit stopped ffmpeg.
    """
    rendition = next(
        (r for r in reversed(plan.renditions) if min(r.width, r.height) <= _POSTER_LINES), plan.renditions[0]
    )
    pictures: list[bytes] = []
    # Two fields are made one picture with the help of the pictures before and after it.
    choices = [] if plan.treatment.interlaced else [command.key_pictures]
    for choice in (*choices, command.typical_pictures):
        with suppress(ExitError):
            arguments = choice(source, rendition, plan.treatment)
            pictures += split_jpegs(await collect(arguments, limits=limits, max_bytes=_MAX_BYTES))
        if len(pictures) >= _ENOUGH:
            break
    if not pictures:
        raise PermanentJobError("No picture could be decoded.")
    return max(pictures, key=len)


def split_jpegs(stream: bytes) -> list[bytes]:
    """The JPEG files that stand one after the other in `stream`."""
    return [part + JPEG_END for part in stream.split(JPEG_END) if part]
