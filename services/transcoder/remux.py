"""Put a source into a container in which ffmpeg can seek exactly, without touching what is in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from services.shared.errors import OutOfSpaceError, PermanentJobError
from services.transcoder import command
from services.transcoder.adts import AdtsScan
from services.transcoder.clock import LEAP_S, ClockScan
from services.transcoder.command import Input
from services.transcoder.process import USUAL, ExitError, Limits, run, run_ffmpeg
from services.transcoder.streams import Header

_DISK_FULL: Final = os.strerror(errno.ENOSPC)
_OFF_THE_AIR: Final = frozenset({"mpeg", "mpegts"})
"""Demuxers of containers whose clock may leap."""
_AS_IT_IS: Final = "copy"
_SOUNDS: Final = (_AS_IT_IS, "flac", "aac")
"""The sound as it is. Where that fails, because some of it is damaged, or in a form that Matroska does not
have, as on DVDs, or changes its form: what a decoder makes of it. Where that is too large: with some loss."""
_FRAMED: Final = "aac"


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
        scans = {place: AdtsScan() for place in (_framed(header) if sound == _AS_IT_IS else ())}
        try:
            await _run(partial(write, sound=sound), scans, bounded)
        except ExitError as error:
            if _DISK_FULL in error.stderr:
                raise OutOfSpaceError(f"The disk of {destination.parent} is full.") from error
            failure = error
        else:
            if not any(scan.varies for scan in scans.values()):
                return
    raise PermanentJobError("The file cannot be brought into a form that can be cut.") from failure


def _framed(header: Header) -> list[int]:
    """Where the sounds are of which each frame says in which form it is, and Matroska could not."""
    if header.format_name not in _OFF_THE_AIR:
        return []
    sounds = zip(header.audio, header.places[1:], strict=False)
    return [place for sound, place in sounds if sound.codec == _FRAMED]


def _times(header: Header) -> command.Times:
    if header.counted:
        return command.Times.DECODING
    return command.Times.NUMBERED if header.numbered else command.Times.TOLD


async def _run(write: Callable[..., list[str]], scans: Mapping[int, AdtsScan], limits: Limits) -> None:
    def arguments(urls: Sequence[str]) -> list[str]:
        return write(frames=dict(zip(scans, urls, strict=True)))

    await run_ffmpeg(arguments, [scan.consume for scan in scans.values()], limits=limits)


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
