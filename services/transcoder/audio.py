"""Encode a sound track, whole and once: cut into pieces it would click at every join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from services.shared.errors import PermanentJobError
from services.shared.video import (
    AAC_FRAME_SAMPLES,
    AAC_FRAMES_PER_SEGMENT,
    AUDIO_RATE_HZ,
    AudioTrack,
    Plan,
)
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.encode import Encoded, finished
from services.transcoder.process import ExitError, Limits, Progress, run_ffmpeg
from services.transcoder.track import MismatchError, SegmentSink, Shape, Track

_START_S: Final = 300
_WALL_PER_SECOND: Final = 2

SHAPE: Final = Shape(
    first=0, count=None, samples=AAC_FRAMES_PER_SEGMENT, ticks=AAC_FRAMES_PER_SEGMENT * AAC_FRAME_SAMPLES
)
"""Segments of a sound track."""


async def encode_audio(
    source: Input,
    plan: Plan,
    track: AudioTrack,
    sink: SegmentSink,
    *,
    limits: Limits | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Encoded:
    """Encode one sound track to exactly the video's length, passing its segments to `sink` as they come.

    Raises:
        PermanentJobError: this stream cannot be decoded.
        TransientJobError: a limit stopped ffmpeg.
        TritonTubeError: whatever the sink raised.
    """
    wall_s = _START_S + _WALL_PER_SECOND * track.duration_samples // AUDIO_RATE_HZ
    limits = limits or Limits(wall_s=wall_s, cpu_s=2 * wall_s)
    output = Track(track.name, SHAPE, sink)

    def build(urls: Sequence[str]) -> list[str]:
        return command.audio(source, plan, track, target=urls[0])

    try:
        await run_ffmpeg(build, [output.consume], limits=limits, on_progress=on_progress)
        return finished({track.name: output})
    except ExitError as error:
        raise PermanentJobError(f"Its sound could not be decoded. {error}") from error
    except MismatchError as error:
        raise PermanentJobError("Its sound could not be decoded.") from error
