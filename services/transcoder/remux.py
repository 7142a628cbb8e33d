"""Put a source into a container in which ffmpeg can seek exactly, without touching what is in it."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from services.shared.errors import OutOfSpaceError, UnsupportedMediaError
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.process import ExitError, Limits, run_ffmpeg

_LIMITS: Final = Limits(wall_s=3600)
_DISK_FULL: Final = os.strerror(errno.ENOSPC)


async def remux(source: Input, destination: Path, *, max_bytes: int, limits: Limits = _LIMITS) -> None:
    """Write the source's video and sound to `destination` as Matroska, at most `max_bytes`.

    Needed where `SourceInfo.seekable` is false. A file on disk, since the index goes to the front at the end.

    Raises:
        UnsupportedMediaError: the source cannot be read, or became larger than allowed.
        OutOfSpaceError: the disk is full.
        TransientJobError: a limit stopped ffmpeg.
    """
    bounded = replace(limits, file_bytes=max_bytes)
    try:
        await run_ffmpeg(lambda _: command.remux(source, destination), [], limits=bounded)
    except ExitError as error:
        if _DISK_FULL in error.stderr:
            raise OutOfSpaceError(f"The disk of {destination.parent} is full.") from error
        raise UnsupportedMediaError("The file cannot be brought into a form that can be cut.") from error
