"""The sound: one stream, whole."""

from __future__ import annotations

from typing import Any, Final

import ffmpeg

from services.shared.plan import Plan
from services.shared.tracks import AAC_FRAME_SAMPLES, AAC_FRAMES_PER_SEGMENT, AUDIO_RATE_HZ, AudioTrack
from services.transcoder.command.compiling import compiled
from services.transcoder.command.inputs import Input

_AUDIO_BITRATE: Final = 128_000
_MICROSECONDS: Final = 1_000_000


def audio(
    source: Input, plan: Plan, track: AudioTrack, *, target: str, until_samples: int | None = None
) -> list[str]:
    """Encode one audio stream, stretched or cut to exactly the length of the video.

    Args:
        source: where to read.
        plan: the video's.
        track: which stream.
        target: output URL.
        until_samples: where to stop instead; None: at the end.
    """
    start_s = plan.start_ticks * plan.time_base.num / plan.time_base.den
    end_s = (until_samples or track.duration_samples) / AUDIO_RATE_HZ
    opened = ffmpeg.input(source.url, copyts=None, **source.options)
    filters = (
        f"asetpts=PTS-({start_s:.9f})/TB,"
        f"aresample={AUDIO_RATE_HZ}:async=1:min_hard_comp=0.100:first_pts=0,"
        f"apad=whole_dur={end_s:.9f},atrim=end={end_s:.9f}"
    )
    return compiled([opened[f"a:{track.index}"].output(target, af=filters, **_aac())])


def _aac() -> dict[str, Any]:
    frame_us = AAC_FRAME_SAMPLES * _MICROSECONDS / AUDIO_RATE_HZ
    return {
        "c:a": "aac",
        "b:a": _AUDIO_BITRATE,
        "ac": 2,
        "map_metadata": -1,
        "map_chapters": -1,
        "movflags": "+dash+delay_moov+skip_sidx+skip_trailer",
        # A fragment is closed by the first frame that reaches this length: a millisecond short of 188 frames.
        "frag_duration": int(AAC_FRAMES_PER_SEGMENT * frame_us) - 1000,
        "format": "mp4",
    }
