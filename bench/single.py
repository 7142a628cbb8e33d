"""The yardstick of transcoding: one ffmpeg process makes the whole ladder from one decode, as DASH segments.

This is what one would type without TritonTube. Sizes, rates and encoder settings are those of the plan; only
what cutting into pieces makes necessary is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from services.shared.video import Plan, Rendition
from services.transcoder.process import Limits, run_ffmpeg

_LIMITS: Final = Limits(wall_s=3600, file_bytes=1 << 40)
"""The same niceness and watchdog as the pieces have."""


async def encode(source: Path, plan: Plan, folder: Path, *, threads: int | None) -> None:
    """Make the ladder.

    Args:
        source: the video.
        plan: how TritonTube would do it.
        folder: gets `<track>-init.mp4` and `<track>-<number>.m4s`, tracks counted from 0 as in the plan.
        threads: of the decoder and of each encoder; None leaves it to ffmpeg.
    """
    await run_ffmpeg(lambda _: command(source, plan, folder, threads=threads), [], limits=_LIMITS)


def command(source: Path, plan: Plan, folder: Path, *, threads: int | None) -> list[str]:
    """The command line."""
    limited = () if threads is None else ("-threads", str(threads))
    return [
        *("ffmpeg", "-nostdin", "-v", "warning", "-y", *limited, "-i", str(source)),
        *("-filter_complex", _filters(plan)),
        *_video(plan),
        *_audio(plan),
        *limited,
        *_dash(plan, folder),
    ]


def _filters(plan: Plan) -> str:
    count = len(plan.renditions)
    split = "".join(f"[s{number}]" for number in range(count))
    scaled = (
        f"[s{number}]scale={rendition.width}:{rendition.height}:flags=bicubic,format=yuv420p[v{number}]"
        for number, rendition in enumerate(plan.renditions)
    )
    return ";".join((f"[0:V:0]fps={plan.fps.num}/{plan.fps.den}:round=near,split={count}{split}", *scaled))


def _video(plan: Plan) -> list[str]:
    size = plan.segment_frames
    outputs = (
        part for number, rendition in enumerate(plan.renditions) for part in _rendition(number, rendition)
    )
    return [
        *outputs,
        *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-crf", "23"),
        *("-x264-params", f"keyint={size}:min-keyint={size}:scenecut=0:open-gop=0"),
    ]


def _rendition(number: int, rendition: Rendition) -> tuple[str, ...]:
    rate, buffer = rendition.bitrate, rendition.bitrate * 3 // 2
    return ("-map", f"[v{number}]", f"-maxrate:v:{number}", str(rate), f"-bufsize:v:{number}", str(buffer))


def _audio(plan: Plan) -> list[str]:
    tracks = [part for track in plan.audio for part in ("-map", f"0:a:{track.index}")]
    return [*tracks, "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", "48000"] if tracks else []


def _dash(plan: Plan, folder: Path) -> list[str]:
    sets = "id=0,streams=v" + (" id=1,streams=a" if plan.audio else "")
    return [
        *("-f", "dash", "-seg_duration", "4", "-adaptation_sets", sets),
        *("-init_seg_name", "$RepresentationID$-init.mp4"),
        *("-media_seg_name", "$RepresentationID$-$Number%05d$.m4s"),
        str(folder / "manifest.mpd"),
    ]
