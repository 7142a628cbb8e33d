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
from services.transcoder.streams import Header

_LIMITS: Final = Limits(wall_s=3600)
_DISK_FULL: Final = os.strerror(errno.ENOSPC)
_NOT_IN_MATROSKA: Final = "Could not write header"


async def remux(
    source: Input, header: Header, destination: Path, *, max_bytes: int, limits: Limits = _LIMITS
) -> None:
    """Write the source's streams that are used to `destination` as Matroska, at most `max_bytes`.

    Needed where `Header.seekable` is false. A file on disk, since the index goes to the front at the end.

    Raises:
        UnsupportedMediaError: the source cannot be read, or became larger than allowed.
        OutOfSpaceError: the disk is full.
        TransientJobError: a limit stopped ffmpeg.
    """
    bounded = replace(limits, file_bytes=max_bytes)
    try:
        await _write(source, header, destination, bounded, sound="copy")
    except ExitError as error:
        if _NOT_IN_MATROSKA not in error.stderr:
            raise _refusal(error, destination) from error
        await _with_other_sound(source, header, destination, bounded)


async def _with_other_sound(source: Input, header: Header, destination: Path, limits: Limits) -> None:
    """For sound in forms that Matroska does not have, as on DVDs."""
    try:
        await _write(source, header, destination, limits, sound="flac")
    except ExitError as error:
        raise _refusal(error, destination) from error


async def _write(source: Input, header: Header, destination: Path, limits: Limits, *, sound: str) -> None:
    counted = header.format_name == "avi"
    arguments = command.remux(source, header.places, destination, sound=sound, counted=counted)
    await run_ffmpeg(lambda _: arguments, [], limits=limits)


def _refusal(error: ExitError, destination: Path) -> UnsupportedMediaError | OutOfSpaceError:
    if _DISK_FULL in error.stderr:
        return OutOfSpaceError(f"The disk of {destination.parent} is full.")
    return UnsupportedMediaError("The file cannot be brought into a form that can be cut.")
