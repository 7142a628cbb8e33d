"""From a graph of ffmpeg-python to the arguments of a process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import ffmpeg

_PROGRAM: Final = (
    *("ffmpeg", "-nostdin", "-hide_banner", "-y", "-filter_complex_threads", "1"),
    # However much of a piece cannot be decoded and is concealed: others judge what comes out.
    *("-max_error_rate", "1"),
)


def compiled(outputs: Iterable[Any], *, before: Sequence[str] = (), loglevel: str = "warning") -> list[str]:
    """One process that makes all outputs.

    Args:
        outputs: what it makes.
        before: options of the whole process, which must stand before its inputs.
        loglevel: what ffmpeg may say on stderr.
    """
    program = [*_PROGRAM, "-v", loglevel, *before]
    return list(ffmpeg.compile(ffmpeg.merge_outputs(*outputs), cmd=program))


def with_progress(arguments: Sequence[str]) -> list[str]:
    """The command, reporting its progress on standard output twice a second."""
    program, *rest = arguments
    return [program, "-progress", "pipe:1", "-stats_period", "0.5", "-nostats", *rest]
