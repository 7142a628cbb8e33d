"""Encode a piece: all its renditions from one decode, every segment checked and handed on as it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.shared.captions import Caption
from services.shared.errors import InvalidRequestError, UnfitPieceError
from services.shared.plan import Plan
from services.shared.storyboard import Storyboard
from services.shared.task import Piece, TrackResult
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.process import USUAL, ExitError, Limits, Progress, notes_of, run_ffmpeg
from services.transcoder.track import MismatchError, OnceSink, SegmentSink, Shape, Track


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What an encoder run produced."""

    frames: int
    """Video frames per rendition, or AAC frames."""
    tracks: Mapping[str, TrackResult]
    captions: tuple[Caption, ...] = ()
    storyboard: Storyboard | None = None


@dataclass(frozen=True, kw_only=True)
class PieceJob:
    """A piece and all that is needed to encode it."""

    source: Input
    plan: Plan
    piece: Piece
    init_sha256: Mapping[str, str] = field(default_factory=dict)
    """By rendition: hash of the initialisation segment that finished pieces agreed on."""

    @property
    def frames(self) -> int:
        """Video frames of each rendition; of the last piece as many as are expected."""
        end = self.plan.frames if self.piece.end_frame is None else self.piece.end_frame
        return end - self.piece.first_frame

    @property
    def seconds(self) -> float:
        """How long they are shown."""
        return self.frames * self.plan.fps.den / self.plan.fps.num


async def encode_piece(
    job: PieceJob,
    sink: SegmentSink,
    *,
    limits: Limits = USUAL,
    on_progress: Callable[[Progress], None] | None = None,
) -> Encoded:
    """Encode a piece and pass its segments to `sink`.

    If the result is not exactly what was planned, the next seek point further back is tried. The piece
    that reaches the end of the source may be shorter than planned, if all seek points agree that there is
    no more: damaged and truncated sources are. Where there is one seek point only, a second run has to
    agree; of its lowest rendition, so that it takes little more than decoding.

    Args:
        job: the piece.
        sink: gets its segments.
        limits: bounds of each ffmpeg for a usual piece of work; a long piece gets more time.
        on_progress: called about twice a second.

    Raises:
        UnfitPieceError: no seek point gave the planned frames: this source needs a plan with a single piece.
        TransientJobError: a limit stopped ffmpeg.
        TritonTubeError: whatever the sink raised.
    """
    limits = limits.for_pictures(job.seconds)
    once = OnceSink(sink)
    shorter: list[Encoded] = []
    failures: list[str] = []
    for seek_s in job.piece.seeks_s:
        try:
            encoded = await _attempt(job, once, seek_s, limits, on_progress)
        except (MismatchError, ExitError) as error:
            failures.append(_account(seek_s, error))
        else:
            if _is_complete(job, encoded):
                return encoded
            shorter.append(encoded)
    if not failures and len(shorter) == 1:
        shorter.append(await _repeated(job, once, limits))
    lengths = sorted({encoded.frames for encoded in shorter})
    if failures or len(lengths) != 1:
        detail = "\n".join((f"Shorter runs have {lengths} frames.", *failures))
        raise UnfitPieceError(f"Piece {job.piece.index} could not be cut out.", detail=detail)
    return shorter[0]


async def _repeated(job: PieceJob, sink: SegmentSink, limits: Limits) -> Encoded:
    """A piece with one seek point, made once more, in its lowest rendition only.

    Raises:
        UnfitPieceError: that failed, where it had been made before.
    """
    (seek_s,) = job.piece.seeks_s
    lowest = job.piece.model_copy(update={"renditions": job.piece.renditions[:1]})
    try:
        return await _attempt(replace(job, piece=lowest), sink, seek_s, limits, None)
    except (MismatchError, ExitError) as error:
        message = f"Piece {job.piece.index} came out shorter once, and failed when it was repeated."
        raise UnfitPieceError(message, detail=_account(seek_s, error)) from error


def _account(seek_s: float | None, error: Exception) -> str:
    return f"from {seek_s}: {error}\n{notes_of(error)}"


async def _attempt(
    job: PieceJob,
    sink: SegmentSink,
    seek_s: float | None,
    limits: Limits,
    on_progress: Callable[[Progress], None] | None,
) -> Encoded:
    tracks = {name: Track(name, _shape(job, name), sink) for name in job.piece.renditions}

    def build(urls: Sequence[str]) -> list[str]:
        targets = dict(zip(tracks, urls, strict=True))
        return command.piece(job.source, job.plan, job.piece, seek_s=seek_s, targets=targets)

    consumers = [track.consume for track in tracks.values()]
    await run_ffmpeg(build, consumers, limits=limits, on_progress=on_progress)
    return finished(tracks)


def finished(tracks: Mapping[str, Track]) -> Encoded:
    """The account of a run that ended well.

    Raises:
        MismatchError: something is missing, or the tracks differ in length.
    """
    try:
        results = {name: track.result() for name, track in tracks.items()}
    except InvalidRequestError as error:
        raise MismatchError(str(error)) from error
    frames = {track.samples for track in tracks.values()}
    if len(frames) != 1:
        raise MismatchError(f"The renditions differ in length: {sorted(frames)} frames.")
    return Encoded(frames=frames.pop(), tracks=results)


def _shape(job: PieceJob, name: str) -> Shape:
    plan, piece = job.plan, job.piece
    ticks_per_frame = plan.timescale * plan.fps.den // plan.fps.num
    return Shape(
        first=piece.first_segment,
        count=None if piece.end_frame is None else piece.segments,
        samples=plan.segment_frames,
        ticks=plan.segment_frames * ticks_per_frame,
        init_sha256=job.init_sha256.get(name),
    )


def _is_complete(job: PieceJob, encoded: Encoded) -> bool:
    """Whether the frames are all there; rounding at the end of the source may cost one."""
    return job.piece.end_frame is not None or encoded.frames >= job.frames - 1
