"""Put a source into a container in which ffmpeg can seek exactly, without touching what is in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from services.shared.errors import OutOfSpaceError, PermanentJobError
from services.transcoder import command
from services.transcoder.clock import LEAP_S, ClockScan
from services.transcoder.command import Input
from services.transcoder.process import USUAL, ExitError, Limits, run, run_ffmpeg
from services.transcoder.streams import Header

_DISK_FULL: Final = os.strerror(errno.ENOSPC)
_OFF_THE_AIR: Final = frozenset({"mpeg", "mpegts"})
"""Demuxers of containers whose clock may leap."""
_SOUNDS: Final = ("copy", "flac", "aac")
"""The sound as it is. Where that fails, because some of it is damaged, or in a form that Matroska does not
have, as on DVDs: what a decoder makes of it. Where that is too large: with some loss."""


async def remux(
    source: Input, header: Header, destination: Path, *, max_bytes: int, limits: Limits = USUAL
) -> None:
    """Write the source's streams that are used to `destination` as Matroska, at most `max_bytes`.

    Needed where `Header.seekable` is false. A file on disk, since the index goes to the front at the end.

    Raises:
        PermanentJobError: the source cannot be read, or became larger than allowed. Pictures of it were seen
            before, so that is no reason to throw it away.
        OutOfSpaceError: the disk is full.
        TransientJobError: a limit stopped ffmpeg.
    """
    source = replace(source, patient=header.patient)
    leap_s = await _leap_s(source, header, limits)
    write = partial(command.remux, source, header.places, destination, times=_times(header), leap_s=leap_s)
    bounded = replace(limits, file_bytes=max_bytes)
    for sound in _SOUNDS:
        try:
            await _run(write(sound=sound), bounded)
        except ExitError as error:
            if _DISK_FULL in error.stderr:
                raise OutOfSpaceError(f"The disk of {destination.parent} is full.") from error
            failure = error
        else:
            return
    raise PermanentJobError("The file cannot be brought into a form that can be cut.") from failure


def _times(header: Header) -> command.Times:
    if header.counted:
        return command.Times.DECODING
    return command.Times.NUMBERED if header.numbered else command.Times.TOLD


async def _run(arguments: Sequence[str], limits: Limits) -> None:
    await run_ffmpeg(lambda _: arguments, [], limits=limits)


async def _leap_s(source: Input, header: Header, limits: Limits) -> float | None:
    """What is a leap of the source's clock; None: it never leaps. See `services.transcoder.clock`."""
    if header.format_name not in _OFF_THE_AIR:
        return LEAP_S
    scan = ClockScan(header.places[: 1 + len(header.audio)])
    try:
        await run(command.probe_clock(source), scan.consume, limits=limits)
    except ExitError:
        return LEAP_S
    return scan.leap_s
