"""Put a source into a container in which ffmpeg can seek exactly, without touching what is in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from services.shared.errors import OutOfSpaceError, UnsupportedMediaError
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.process import ExitError, Limits, run_ffmpeg

_LIMITS: Final = Limits(wall_s=3600)
_DISK_FULL: Final = os.strerror(errno.ENOSPC)
_NOT_IN_MATROSKA: Final = "Could not write header"


async def remux(
    source: Input, places: Sequence[int], destination: Path, *, max_bytes: int, limits: Limits = _LIMITS
) -> None:
    """Write the source's streams at `places` to `destination` as Matroska, at most `max_bytes`.

    Needed where `SourceInfo.seekable` is false. A file on disk, since the index goes to the front at the end.

    Raises:
        UnsupportedMediaError: the source cannot be read, or became larger than allowed.
        OutOfSpaceError: the disk is full.
        TransientJobError: a limit stopped ffmpeg.
    """
    bounded = replace(limits, file_bytes=max_bytes)
    try:
        await _write(source, places, destination, bounded, sound="copy")
    except ExitError as error:
        if _NOT_IN_MATROSKA not in error.stderr:
            raise _refusal(error, destination) from error
        await _with_other_sound(source, places, destination, bounded)


async def _with_other_sound(source: Input, places: Sequence[int], destination: Path, limits: Limits) -> None:
    """For sound in forms that Matroska does not have, as on DVDs."""
    try:
        await _write(source, places, destination, limits, sound="flac")
    except ExitError as error:
        raise _refusal(error, destination) from error


async def _write(
    source: Input, places: Sequence[int], destination: Path, limits: Limits, *, sound: str
) -> None:
    arguments = command.remux(source, places, destination, sound=sound)
    await run_ffmpeg(lambda _: arguments, [], limits=limits)


def _refusal(error: ExitError, destination: Path) -> UnsupportedMediaError | OutOfSpaceError:
    if _DISK_FULL in error.stderr:
        return OutOfSpaceError(f"The disk of {destination.parent} is full.")
    return UnsupportedMediaError("The file cannot be brought into a form that can be cut.")
