"""The sound: one stream, whole."""

from __future__ import annotations

from typing import Any, Final

import ffmpeg

from services.shared.plan import Plan
from services.shared.tracks import AAC_FRAME_SAMPLES, AAC_FRAMES_PER_SEGMENT, AUDIO_RATE_HZ, AudioTrack
from services.transcoder.command.compiling import compiled
from services.transcoder.command.inputs import Input

_HEADROOM_S: Final = 100
"""NUT has no times before zero. What is as much earlier than the video is left out: all would be shifted."""
_PIPED: Final = {"format": "nut", "protocol_whitelist": "pipe", "format_whitelist": "nut"}
_AUDIO_BITRATE: Final = 128_000
_MICROSECONDS: Final = 1_000_000

_APART_S: Final = 0.006
"""Sound that is further from where its times place it is put there: silence is let in, or some dropped."""
_STEP_S: Final = 0.015
"""A step of the times by more is a gap or an overlap: most codecs' packets are longer. Smaller ones may be
those of a clock that was read in a hurry, and are averaged, or such sound would be cut all the time."""
_STEP_TREMBLINGS: Final = 4
"""Times that tremble tell a step only where it is so many times as large as the trembling is on average."""
_LARGEST_TREMBLING_S: Final = 0.100
_AVERAGED_S: Final = 0.5


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
    opened = ffmpeg.input(source.url, copyts=None, **source.options)
    stream, start_s = opened[f"a:{track.index}"], _start_s(plan)
    samples = until_samples or track.duration_samples
    return _fitted(stream, start_s, samples, target, before=_averaged(track.averaged))


def steadied(source: Input, plan: Plan, track: AudioTrack) -> list[str]:
    """Decode one audio stream to standard output: in stereo and at one rate, whatever it changes on the way.

    Whenever the number of channels changes, ffmpeg makes its filters anew. Those that count from the
    beginning, to fill holes and to reach a length, must not be among them.
    """
    opened = ffmpeg.input(source.url, copyts=None, **source.options)
    form = {"c:a": "pcm_f32le", "ac": 2, "ar": AUDIO_RATE_HZ, "format": "nut", "map_metadata": -1}
    shift = f"asetpts=PTS-({_start_s(plan):.9f}-{_HEADROOM_S})/TB,atrim=start=0"
    return compiled([opened[f"a:{track.index}"].output("pipe:1", af=shift, **form)])


def audio_of_steadied(track: AudioTrack, *, target: str, until_samples: int | None = None) -> list[str]:
    """The same as `audio`, from what `steadied` made, on standard input."""
    opened = ffmpeg.input("pipe:0", copyts=None, **_PIPED)
    return _fitted(opened["a:0"], _HEADROOM_S, until_samples or track.duration_samples, target)


def _start_s(plan: Plan) -> float:
    return plan.start_ticks * plan.time_base.num / plan.time_base.den


def _averaged(channels: int) -> str:
    """Filters that let the mean of the first channels be heard on both sides; none where there are none."""
    if not channels:
        return ""
    mean = "+".join(f"{1 / channels:.6f}*c{number}" for number in range(channels))
    return f"pan=stereo|c0={mean}|c1={mean},"


def _fitted(stream: Any, start_s: float, samples: int, target: str, *, before: str = "") -> list[str]:
    end_s = samples / AUDIO_RATE_HZ
    filters = (
        f"{before}asetpts='{_steady_times(start_s)}',"
        f"aresample={AUDIO_RATE_HZ}:async=1:min_hard_comp={_APART_S:.3f}:first_pts=0,"
        f"apad=whole_dur={end_s:.9f},atrim=end={end_s:.9f}"
    )
    return compiled([stream.output(target, af=filters, **_aac())])


def _steady_times(start_s: float) -> str:
    """For the filter `asetpts`: the times of decoded sound from `start_s` on, without their trembling.

    How late sound is, by its own times and compared with the number of samples before, goes into register 1;
    how far that is from the average, which is in register 0, into 2; the average of those distances into 3.
    """
    weight = f"min(1,NB_SAMPLES/SR/{_AVERAGED_S})"
    step = f"clip({_STEP_TREMBLINGS}*ld(3),{_STEP_S},{_LARGEST_TREMBLING_S})"
    statements = (
        "st(1,if(isnan(T),ld(0),T-NB_CONSUMED_SAMPLES/SR))",
        "st(2,abs(ld(1)-ld(0)))",
        f"st(0,if(not(N)+gt(ld(2),{step}),ld(1),ld(0)+(ld(1)-ld(0))*{weight}))",
        f"st(3,ld(3)+(min(ld(2),{_LARGEST_TREMBLING_S})-ld(3))*{weight})",
        f"PTS-({start_s:.9f}+ld(1)-ld(0))/TB",
    )
    return ";".join(statements)


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
