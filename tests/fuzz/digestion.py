"""All that a worker does to an upload, in this process: inspect, remux, survey, encode, picture, captions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from services.shared.errors import PermanentJobError, UnfitPieceError, UnsupportedMediaError
from services.shared.plan import Plan
from services.transcoder.audio import encode_audio
from services.transcoder.captions import take_captions
from services.transcoder.command import Input
from services.transcoder.encode import PieceJob, encode_piece
from services.transcoder.opening import opening_tasks
from services.transcoder.pictures import make_poster
from services.transcoder.probe import Inspection, inspect, probe
from services.transcoder.process import Limits
from services.transcoder.remux import remux
from services.transcoder.sketch import sketch
from services.transcoder.source import VideoFacts
from services.transcoder.streams import Bounds
from services.transcoder.timeline import make_plan, make_tasks
from tests.harness.media import Collector

_REMUXED_BYTES: Final = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Digested:
    """What became of an upload."""

    frames: int = 0
    refusal: str = ""
    """Why there is no video, for people."""
    concessions: tuple[str, ...] = field(default_factory=tuple)
    """What the video goes without, and why."""


async def digest(path: Path, *, limits: Limits, bounds: Bounds) -> Digested:
    """Do to a file what a worker does.

    Raises:
        TransientJobError: a limit stopped a program.
        Exception: a mistake of ours; whatever is in a file, it is no reason for anything else.
    """
    try:
        return await _digest(path, limits, bounds)
    except (UnsupportedMediaError, PermanentJobError) as refusal:
        return Digested(refusal=str(refusal))


async def _digest(path: Path, limits: Limits, bounds: Bounds) -> Digested:
    source = Input(location=str(path))
    inspected = await inspect(source, bounds=bounds, limits=limits)
    header = inspected.header
    if header.seekable:
        await _planned_ahead(source, inspected, bounds, limits)
    else:
        remuxed = path.with_name(f"{path.name}.mkv")
        await remux(source, header, remuxed, max_bytes=_REMUXED_BYTES, limits=limits)
        source = Input(location=str(remuxed))
    info = await probe(source, bounds=bounds, limits=limits)
    info = replace(info, video=replace(info.video, counted=header.counted))
    plan = make_plan(info, generation=1, encoder="test")
    try:
        frames = await _pictures(source, plan, info.video, limits, whole=False)
    except UnfitPieceError:
        frames = await _pictures(source, plan, info.video, limits, whole=True)
    return Digested(frames=frames, concessions=await _extras(source, plan, limits))


async def _planned_ahead(source: Input, inspected: Inspection, bounds: Bounds, limits: Limits) -> None:
    """Plan the beginning of what claims to be long, before all of it is known."""
    sketched = await sketch(source, inspected, bounds=bounds, limits=limits)
    if sketched:
        plan = make_plan(sketched, generation=1, encoder="test")
        assert opening_tasks(plan, sketched.video)


async def _pictures(source: Input, plan: Plan, video: VideoFacts, limits: Limits, *, whole: bool) -> int:
    tasks = make_tasks(plan, video, workers=1, whole=whole, worthwhile_pixels=0)
    collector, frames = Collector(), 0
    for piece in (task.piece for task in tasks if task.piece):
        job = PieceJob(source=source, plan=plan, piece=piece)
        encoded = await encode_piece(job, collector, limits=limits)
        frames = max(frames, piece.first_frame + encoded.frames)
    return frames


async def _extras(source: Input, plan: Plan, limits: Limits) -> tuple[str, ...]:
    """Sound, poster and captions; what of them cannot be made."""
    missing = []
    for track in plan.audio:
        try:
            await encode_audio(source, plan, track, Collector(), limits=limits)
        except PermanentJobError as reason:
            missing.append(f"{track.name}: {reason}")
    try:
        await make_poster(source, plan, limits=limits)
    except PermanentJobError as reason:
        missing.append(f"poster: {reason}")
    if plan.texts:
        await take_captions(source, plan, limits=limits)
    return tuple(missing)
