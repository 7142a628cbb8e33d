"""The yardsticks of transcoding: what one would type without TritonTube, as DASH segments.

One ffmpeg process that makes the whole ladder from one decode; and one process per rendition, which is how
most other video servers share the work (PeerTube has a job for each resolution, MediaCMS one for each
profile). Sizes, rates and encoder settings are those of the plan; only what cutting into pieces makes
necessary is left out.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.shared.plan import Plan
from services.shared.tracks import Rendition
from services.transcoder.process import Limits

_NICENESS: Final = Limits(wall_s=1).niceness
"""The same as the pieces have."""

_SEGMENTS: Final = "$Number%05d$.m4s"


async def encode(source: Path, plan: Plan, folder: Path, *, threads: int | None) -> None:
    """Make the ladder in one process.

    Args:
        source: the video.
        plan: how TritonTube would do it.
        folder: gets `<track>-init.mp4` and `<track>-<number>.m4s`, tracks counted from 0 as in the plan.
        threads: of the decoder and of each encoder; None leaves it to ffmpeg.
    """
    everything = _Share(
        renditions=plan.renditions,
        sounds=tuple(track.index for track in plan.audio),
        name="$RepresentationID$",
    )
    await _run(source, plan, folder, everything, threads=threads)


async def encode_each(source: Path, plan: Plan, folder: Path, *, workers: int) -> None:
    """Make the ladder in one process of one thread per track, the largest first, `workers` at a time."""
    waiting = iter(sorted(_shares(plan), key=lambda share: -share.pixels))
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(_work(source, plan, folder, waiting))


@dataclass(frozen=True, kw_only=True)
class _Share:
    """The tracks that one process makes."""

    renditions: tuple[Rendition, ...] = ()
    sounds: tuple[int, ...] = ()
    name: str
    """What the tracks' files are called, before the dash."""

    @property
    def pixels(self) -> int:
        return sum(rendition.width * rendition.height for rendition in self.renditions)


def _shares(plan: Plan) -> Iterator[_Share]:
    for number, rendition in enumerate(plan.renditions):
        yield _Share(renditions=(rendition,), name=str(number))
    for number, track in enumerate(plan.audio, start=len(plan.renditions)):
        yield _Share(sounds=(track.index,), name=str(number))


async def _work(source: Path, plan: Plan, folder: Path, waiting: Iterator[_Share]) -> None:
    for share in waiting:
        await _run(source, plan, folder, share, threads=1)


async def _run(source: Path, plan: Plan, folder: Path, share: _Share, *, threads: int | None) -> None:
    """Run ffmpeg as one would, without the sandbox that it has in a worker, but as nicely."""
    command = _command(source, plan, folder, share, threads=threads)
    process = await asyncio.create_subprocess_exec("nice", "-n", str(_NICENESS), *command)
    try:
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
    if status:
        raise RuntimeError(f"ffmpeg ended with exit code {status}: {shlex.join(command)}")


def _command(source: Path, plan: Plan, folder: Path, share: _Share, *, threads: int | None) -> list[str]:
    limited = () if threads is None else ("-threads", str(threads))
    return [
        *("ffmpeg", "-nostdin", "-v", "error", "-y", *limited, "-i", str(source)),
        *_video(plan, share.renditions),
        *_audio(share.sounds),
        *limited,
        *_dash(folder, share),
    ]


def _video(plan: Plan, renditions: tuple[Rendition, ...]) -> list[str]:
    if not renditions:
        return []
    size = plan.segment_frames
    outputs = (part for number, rendition in enumerate(renditions) for part in _rendition(number, rendition))
    return [
        *("-filter_complex", _filters(plan, renditions), *outputs),
        *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-crf", "23"),
        *("-x264-params", f"keyint={size}:min-keyint={size}:scenecut=0:open-gop=0"),
    ]


def _filters(plan: Plan, renditions: tuple[Rendition, ...]) -> str:
    count = len(renditions)
    split = "".join(f"[s{number}]" for number in range(count))
    scaled = (
        f"[s{number}]scale={rendition.width}:{rendition.height}:flags=bicubic,format=yuv420p[v{number}]"
        for number, rendition in enumerate(renditions)
    )
    return ";".join((f"[0:V:0]fps={plan.fps.num}/{plan.fps.den}:round=near,split={count}{split}", *scaled))


def _rendition(number: int, rendition: Rendition) -> tuple[str, ...]:
    rate, buffer = rendition.bitrate, rendition.bitrate * 3 // 2
    return ("-map", f"[v{number}]", f"-maxrate:v:{number}", str(rate), f"-bufsize:v:{number}", str(buffer))


def _audio(sounds: Iterable[int]) -> list[str]:
    tracks = [part for index in sounds for part in ("-map", f"0:a:{index}")]
    return [*tracks, "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", "48000"] if tracks else []


def _dash(folder: Path, share: _Share) -> list[str]:
    kinds = [kind for kind, tracks in (("v", share.renditions), ("a", share.sounds)) if tracks]
    sets = " ".join(f"id={number},streams={kind}" for number, kind in enumerate(kinds))
    return [
        *("-f", "dash", "-seg_duration", "4", "-adaptation_sets", sets),
        *("-init_seg_name", f"{share.name}-init.mp4", "-media_seg_name", f"{share.name}-{_SEGMENTS}"),
        # Nobody reads the manifest, but no two processes may write the same.
        str(folder / f"manifest-{share.name.strip('$')}.mpd"),
    ]
