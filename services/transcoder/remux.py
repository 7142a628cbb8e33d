"""Put a source into a container in which ffmpeg can seek exactly, without touching what is in it."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from services.shared.errors import OutOfSpaceError, PermanentJobError
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.process import ExitError, Limits, run_ffmpeg
from services.transcoder.streams import Header

_LIMITS: Final = Limits(wall_s=3600)
_DISK_FULL: Final = os.strerror(errno.ENOSPC)
_SOUNDS: Final = ("copy", "flac", "aac")
"""The sound as it is. Where that fails, because some of it is damaged, or in a form that Matroska does not
have, as on DVDs: what a decoder makes of it. Where that is too large: with some loss."""


async def remux(
    source: Input, header: Header, destination: Path, *, max_bytes: int, limits: Limits = _LIMITS
) -> None:
    """Write the source's streams that are used to `destination` as Matroska, at most `max_bytes`.

    Needed where `Header.seekable` is false. A file on disk, since the index goes to the front at the end.

    Raises:
        PermanentJobError: the source cannot be read, or became larger than allowed. Pictures of it were seen
            before, so that is no reason to throw it away.
        OutOfSpaceError: the disk is full.
        TransientJobError: a limit stopped ffmpeg.
    """
    bounded = replace(limits, file_bytes=max_bytes)
    for sound in _SOUNDS:
        try:
            await _write(source, header, destination, bounded, sound=sound)
        except ExitError as error:
            if _DISK_FULL in error.stderr:
                raise OutOfSpaceError(f"The disk of {destination.parent} is full.") from error
            failure = error
        else:
            return
    raise PermanentJobError("The file cannot be brought into a form that can be cut.") from failure


async def _write(source: Input, header: Header, destination: Path, limits: Limits, *, sound: str) -> None:
    counted = header.format_name == "avi"
    arguments = command.remux(source, header.places, destination, sound=sound, counted=counted)
    await run_ffmpeg(lambda _: arguments, [], limits=limits)

