"""From a graph of ffmpeg-python to the arguments of a process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import ffmpeg


def compiled(outputs: Iterable[Any]) -> list[str]:
    """One process that makes all outputs."""
    program = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-y", "-filter_complex_threads", "1"]
    return list(ffmpeg.compile(ffmpeg.merge_outputs(*outputs), cmd=program))


def with_progress(arguments: Sequence[str]) -> list[str]:
    """The command, reporting its progress on standard output twice a second."""
    program, *rest = arguments
    return [program, "-progress", "pipe:1", "-stats_period", "0.5", "-nostats", *rest]
