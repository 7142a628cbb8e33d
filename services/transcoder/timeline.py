"""How a video is cut: the frame grid, its segments and pieces, and where each piece seeks. Pure.

The grid has a constant frame rate and its zero at the first picture; frame `n` shows what the source
shows at `n / fps` seconds. A segment is about 4 seconds of frames and begins with a key frame of ours. A
piece is a run of whole segments that one process encodes after seeking to a key frame of the source at or
before its first frame.

Why pieces seek where they do: MP4 finds key frames by decoding time, Matroska by presentation time but up
to 3/23 s too early. A point after the key frame, and nearer to it than to the next one's decoding time,
reaches the wanted key frame in both.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from services.shared.captions import text_tracks
from services.shared.plan import Plan, Rational
from services.shared.task import Piece, Task, TaskKind
from services.shared.tracks import AUDIO_RATE_HZ, AudioTrack
from services.transcoder.ladder import H264, Ladder
from services.transcoder.sound import sound_tracks
from services.transcoder.source import SOUND_MARGIN_S, KeyFrame, SourceInfo, VideoFacts
from services.transcoder.treatment import treatment

STANDARD_RATES: Final = tuple(
    Fraction(num, den)
    for num, den in (
        (5, 1),
        (10, 1),
        (12, 1),
        (25, 2),
        (15, 1),
        (20, 1),
        (24000, 1001),
        (24, 1),
        (25, 1),
        (30000, 1001),
        (30, 1),
        (48, 1),
        (50, 1),
        (60000, 1001),
        (60, 1),
    )
)
"""Output frame rates, ascending."""

_RATE_TOLERANCE: Final = Fraction(1, 200)
_TELLING_TICKS: Final = 1000
"""A gap of so many ticks tells 30 from 30000/1001 pictures a second. One of 33 ms, or of 20 in QuickTime's
1/600 s, may be either."""
_SEGMENT_S: Final = 4
_LONGEST_PIECE_SEGMENTS: Final = 4
_LONGEST_CHEAP_PIECE_SEGMENTS: Final = 8
_PIECES_PER_WORKER: Final = 2
"""Of what remains, at any point of the video."""
WORTHWHILE_PIECE_PIXELS: Final = 150_000_000
"""To encode, all rungs together. Each piece costs about 0.1 s for its process, the seek and the run-up; so
many pixels take the encoder some three seconds, beside which that is little."""
_LEAST_WORTH: Final = Fraction(1, 3)
"""Of that: even the last pieces, which are short so that all workers end together, are worth so much."""

_RUN_UP_SEGMENTS: Final = 2
"""So much may always be decoded before a piece begins: far less work than encoding, and many sources have a
key frame every 250 pictures only."""
_SHORTENED_SEGMENTS: Final = 3
"""Pieces from this length on may be a segment shorter. The last ones are shorter already, to end together."""
_BEFORE_SAMPLES: Final = 2
"""Pieces that are encoded before samples are taken of the others."""
_MIN_TIMESCALE: Final = 10_000
_MATROSKA_SEEK_MARGIN_S: Final = 0.14
_FALLBACK_KEY_FRAMES: Final = 2
"""How many key frames further back the second try starts."""
_REFRESH_KEY_FRAMES: Final = 2


def frame_rate(video: VideoFacts) -> Rational:
    """The grid's rate: the source's own if it is a standard one, else one on which its pictures have a place.

    The average rate decides if it is within 0.5 % of a standard rate, unless the typical distance is exactly
    that of one slightly above it: then some pictures are missing. It also decides if pictures come at even
    distances and a standard rate is a multiple of theirs. Otherwise the typical distance counts, and the
    next standard rate: a screen recording that mostly stands still must not lose its smooth parts. Rates
    above 60 are halved until they are not.
    """
    average = _average_rate(video)
    rate = (
        _exact_standard(video, average)
        or _nearest_standard(average, _RATE_TOLERANCE)
        or _standard_multiple(video, average)
        or _variable_rate(video, average)
    )
    return Rational(num=rate.numerator, den=rate.denominator)


def is_steady(video: VideoFacts) -> bool:
    """Whether pictures come at a standard rate on average, but perhaps for a few that are missing."""
    return _nearest_standard(_average_rate(video), _RATE_TOLERANCE) is not None


def _average_rate(video: VideoFacts) -> Fraction:
    rate = _mean_rate(video)
    return _halved(Fraction(rate.num, rate.den))


def _mean_rate(video: VideoFacts) -> Rational:
    """Pictures a second."""
    ticks = max(video.end - video.start, 1)
    rate = Fraction(max(video.packets, 1) * video.time_base.den, ticks * video.time_base.num)
    return Rational(num=rate.numerator, den=rate.denominator)


def _exact_standard(video: VideoFacts, average: Fraction) -> Fraction | None:
    """The standard rate that the typical distance tells of, if the average is lower by no more than 0.5 %."""
    if video.typical_gap < _TELLING_TICKS:
        return None
    typical = _typical_rate(video)
    nearly = 0 <= typical - average <= typical * _RATE_TOLERANCE
    return typical if nearly and typical in STANDARD_RATES else None


def _standard_multiple(video: VideoFacts, average: Fraction) -> Fraction | None:
    """The least standard rate that is a multiple of a steady source's; None: there is none, or it varies."""
    if not video.typical_gap:
        return None
    typical = _typical_rate(video)
    if abs(average - typical) > typical * _gap_tolerance(video):
        return None
    multiples = (average * _round(rate / average) for rate in STANDARD_RATES)
    fitting = (_nearest_standard(multiple, _RATE_TOLERANCE) for multiple in multiples)
    return next((rate for rate in fitting if rate), None)


def _variable_rate(video: VideoFacts, average: Fraction) -> Fraction:
    if not video.typical_gap:  # a single picture
        return _next_standard(average)
    wanted = max(average, _typical_rate(video))
    return _nearest_standard(wanted, _gap_tolerance(video)) or _next_standard(wanted)


def _typical_rate(video: VideoFacts) -> Fraction:
    return _halved(Fraction(video.time_base.den, video.typical_gap * video.time_base.num))


def _gap_tolerance(video: VideoFacts) -> Fraction:
    # A gap is known to half a tick: 33 ms in Matroska may well be 30 frames per second.
    return _RATE_TOLERANCE + Fraction(1, 2 * video.typical_gap)


def _next_standard(rate: Fraction) -> Fraction:
    return next((standard for standard in STANDARD_RATES if standard >= rate), STANDARD_RATES[-1])


def _halved(rate: Fraction) -> Fraction:
    while rate > STANDARD_RATES[-1] * (1 + _RATE_TOLERANCE):
        rate /= 2
    return rate


def _nearest_standard(rate: Fraction, tolerance: Fraction) -> Fraction | None:
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    return nearest if abs(nearest - rate) <= nearest * tolerance else None


def make_plan(info: SourceInfo, *, generation: int, encoder: str, ladder: Ladder = H264) -> Plan:
    """The plan for a source.

    Args:
        info: what probing found.
        generation: number of this plan among the video's plans.
        encoder: identity of the builds that encode it, see `services.transcoder.encoders.Encoders`.
        ladder: what it is encoded in.

    Raises:
        PermanentJobError: the picture is too small for that ladder.
    """
    video = info.video
    fps = frame_rate(video)
    lead = _lead_frames(info, fps)
    start = video.start - _ticks(lead, video, fps)
    shown = max(1, _slot(video.end, replace(video, start=start), fps))
    frames = shown + _tail_frames(info, fps)
    return Plan(
        generation=generation,
        time_base=video.time_base,
        start_ticks=start,
        fps=fps,
        frames=frames,
        segment_frames=max(1, _round(Fraction(_SEGMENT_S * fps.num, fps.den))),
        timescale=_timescale(fps),
        renditions=ladder.renditions(width=video.width, height=video.height, fps=fps),
        audio=sound_tracks(info.audio, duration_samples=_samples(frames, fps)),
        texts=text_tracks([(text.index, text.language, text.title) for text in info.texts]),
        input_format=info.format_name,
        encoder=encoder,
        treatment=treatment(video),
        lead_frames=lead,
        # A last picture that does not tell for how long it is shown is shown only if it has to stand still.
        tail_frames=max(frames - shown, int(video.open_ended)),
        counted=_mean_rate(video) if video.counted else None,
    )


def _lead_frames(info: SourceInfo, fps: Rational) -> int:
    """Frames for which there is sound before the first picture, if those are enough to matter."""
    ahead_s = 0.0 if info.sound is None else info.video.start_s - info.sound.start_s
    return round(ahead_s * float(fps)) if ahead_s > SOUND_MARGIN_S else 0


def _tail_frames(info: SourceInfo, fps: Rational) -> int:
    """Frames for which there is sound after the last picture, if those are enough to matter."""
    behind_s = 0.0 if info.sound is None else info.sound.end_s - info.video.end_s
    return round(behind_s * float(fps)) if behind_s > SOUND_MARGIN_S else 0


def _timescale(fps: Rational) -> int:
    scale = fps.num
    while scale < _MIN_TIMESCALE:
        scale *= 2
    return scale


def _samples(frames: int, fps: Rational) -> int:
    return _round(Fraction(frames * fps.den * AUDIO_RATE_HZ, fps.num))


def make_tasks(
    plan: Plan,
    video: VideoFacts,
    *,
    workers: int,
    whole: bool = False,
    worthwhile_pixels: int = WORTHWHILE_PIECE_PIXELS,
) -> tuple[Task, ...]:
    """The tasks of a plan in the order in which they should start.

    The first segment in the lowest rendition comes first, alone, because it makes the video playable
    soonest; then its main sound, the first segment's other renditions, the pictures, and the rest: other
    sound tracks, and each piece in all renditions, but for the last ones. Captions and the storyboard come
    last. Where pieces may differ in quality, samples are taken as soon as there is something to watch
    meanwhile.

    Args:
        plan: the plan.
        video: the facts it was made from.
        workers: how many workers are there to share the work.
        whole: make a single piece of it, for a source that cannot be cut by seeking.
        worthwhile_pixels: pieces of small pictures get longer to hold so many, all rungs together.
    """
    video = replace(video, start=plan.start_ticks)
    sizes = _Sizes(plan, workers=workers, worthwhile_pixels=worthwhile_pixels)
    cuts = [0] if whole or video.counted else _cuts(plan, video, sizes)
    bounds = zip(cuts, [*cuts[1:], None], strict=True)
    first, *rest = (_piece(plan, video, index, bound) for index, bound in enumerate(bounds))
    others = (_sound_task(track) for track in plan.audio[1:])
    pieces = list(_bulk_tasks(rest, workers=workers))
    soon, later = pieces[:_BEFORE_SAMPLES], pieces[_BEFORE_SAMPLES:]
    samples = [Task(name="samples", kind=TaskKind.SAMPLES)] if plan.flexible and later else []
    bulk = (*others, *soon, *samples, *later)
    ordered = (*_urgent_tasks(plan, first), *bulk, *_late_tasks(plan))
    # Numbered, so that whoever lists them by name sees them in this order too.
    return tuple(
        task.model_copy(update={"name": f"{number:05d}-{task.name}"}) for number, task in enumerate(ordered)
    )


def _urgent_tasks(plan: Plan, first: Piece) -> tuple[Task, ...]:
    soonest, *later = (_video_task(piece, urgent=True) for piece in _by_rung(first, 1))
    sound = [_sound_task(track, urgent=True) for track in plan.audio[:1]]
    return (soonest, *sound, *later, Task(name="pictures", kind=TaskKind.PICTURES, urgent=True))


def _bulk_tasks(pieces: Sequence[Piece], *, workers: int) -> Iterator[Task]:
    """Every piece once; the last ones, one for two workers, in two parts of about the same work.

    All other workers wait for the one that is done last. Pieces cannot be shorter than a segment, so at the
    end they are divided by rung. What that costs is another decoder for each.
    """
    whole = max(0, len(pieces) - workers // 2)
    for piece in pieces[:whole]:
        yield _video_task(piece)
    for piece in pieces[whole:]:
        yield from map(_video_task, _by_rung(piece, len(piece.renditions) - 1))


def _by_rung(piece: Piece, count: int) -> Iterator[Piece]:
    """A piece in its lowest `count` renditions, and in the others."""
    for names in (piece.renditions[:count], piece.renditions[count:]):
        if names:
            yield piece.model_copy(update={"renditions": names})


def _late_tasks(plan: Plan) -> Iterator[Task]:
    if plan.texts:
        yield Task(name="captions", kind=TaskKind.CAPTIONS)
    yield Task(name="storyboard", kind=TaskKind.STORYBOARD)


def _sound_task(track: AudioTrack, *, urgent: bool = False) -> Task:
    return Task(name=f"audio-{track.name}", kind=TaskKind.AUDIO, urgent=urgent, audio=track)


def _video_task(piece: Piece, *, urgent: bool = False) -> Task:
    span = "-".join(dict.fromkeys((piece.renditions[0], piece.renditions[-1])))
    return Task(name=f"piece-{piece.index}-{span}", kind=TaskKind.VIDEO, urgent=urgent, piece=piece)


class _Sizes:
    """How long pieces are: shorter towards the end, so that all workers have something to do until then.

    This is guided self-scheduling (Polychronopoulos and Kuck, 1987): whoever is free takes a share of what
    remains, here half of an equal one. Work that is cut into equal pieces instead leaves all workers but one
    idle for up to a whole piece at the end.
    """

    def __init__(self, plan: Plan, *, workers: int, worthwhile_pixels: int) -> None:
        pixels = plan.segment_frames * sum(rung.width * rung.height for rung in plan.renditions)
        self._workers = max(workers, 1)
        self._worthwhile = -(-worthwhile_pixels // pixels)
        self._least = _ceil(worthwhile_pixels * _LEAST_WORTH / pixels)

    def segments(self, remaining: int) -> int:
        """Segments of the piece that begins where so many segments remain."""
        share = -(-remaining // (_PIECES_PER_WORKER * self._workers))
        worth = min(self._worthwhile, max(remaining // self._workers, self._least))
        return max(min(share, _LONGEST_PIECE_SEGMENTS), min(worth, _LONGEST_CHEAP_PIECE_SEGMENTS), 1)


def _cuts(plan: Plan, video: VideoFacts, sizes: _Sizes) -> list[int]:
    """First segments of the pieces, which are as long as `sizes` says, or longer; long ones may be shorter.

    A cut is left out where the decoder would have to run through more frames than a piece has before it
    reaches the cut, and where less than a segment would remain: the encoder's delay differs in runs of a
    frame or two. It is made a segment earlier right behind a key frame: the decoder has less to run through.
    """
    size = plan.segment_frames
    cuts = [0]
    for segment in range(1, plan.segments):
        step = sizes.segments(plan.segments - cuts[-1]) if len(cuts) > 1 else 1
        frame = segment * size
        run_up = _run_up(frame, video, plan.fps)
        spares = (
            step >= _SHORTENED_SEGMENTS and run_up < size and run_up < _run_up(frame + size, video, plan.fps)
        )
        long_enough = segment - cuts[-1] >= step - spares
        worthwhile = run_up <= max(step, _RUN_UP_SEGMENTS) * size
        if long_enough and worthwhile and plan.frames - frame >= size:
            cuts.append(segment)
    return cuts


def _run_up(frame: int, video: VideoFacts, fps: Rational) -> int:
    """Frames that have to be decoded to begin at one."""
    return frame - _slot(video.key_frames[_run_up_index(frame, video, fps)].pts, video, fps)


def _piece(plan: Plan, video: VideoFacts, index: int, bounds: tuple[int, int | None]) -> Piece:
    first, after = bounds
    first_frame = first * plan.segment_frames
    return Piece(
        index=index,
        first_frame=first_frame,
        end_frame=None if after is None else after * plan.segment_frames,
        first_segment=first,
        segments=(plan.segments if after is None else after) - first,
        renditions=tuple(rendition.name for rendition in plan.renditions),
        seeks_s=seeks(video, plan.fps, first_frame),
    )


def seeks(video: VideoFacts, fps: Rational, first_frame: int) -> tuple[float | None, ...]:
    """Where to seek for a piece that begins at `first_frame`: the best point, then a safer one.

    None means to read from the beginning. A piece at the beginning has no other point.
    """
    best = _run_up_index(first_frame, video, fps) if first_frame else 0
    return tuple(dict.fromkeys(seek_point(video, index) for index in (best, best - _FALLBACK_KEY_FRAMES)))


def _run_up_index(frame: int, video: VideoFacts, fps: Rational) -> int:
    """Index of the key frame at which decoding begins, to have all that a frame of the grid is made from.

    A frame that is made from two fields also needs the picture before it, and a picture that is refreshed
    gradually is whole again only some key frames later.
    """
    index = _key_index(frame - 1 if video.look.interlaced else frame, video, fps)
    return max(0, index - _REFRESH_KEY_FRAMES) if video.gradual else index


def _key_index(frame: int, video: VideoFacts, fps: Rational) -> int:
    """Index of the last key frame at or before a frame of the grid."""
    after = bisect_right(video.key_frames, frame, key=lambda key: _slot(key.pts, video, fps))
    return max(after - 1, 0)


def seek_point(video: VideoFacts, index: int) -> float | None:
    """Seconds on the source's own clock from which a seek backwards lands on key frame `index`."""
    if index <= 0:
        return None
    key = video.key_frames[index]
    point_s = _seconds(key.pts, video) + _MATROSKA_SEEK_MARGIN_S
    following: tuple[KeyFrame, ...] = video.key_frames[index + 1 : index + 2]
    for after in following:
        point_s = min(point_s, (_seconds(key.pts, video) + _seconds(after.dts, video)) / 2)
    return round(point_s, 6)


def _seconds(ticks: int, video: VideoFacts) -> float:
    return ticks * video.time_base.num / video.time_base.den


def _ticks(frames: int, video: VideoFacts, fps: Rational) -> int:
    """Length of some frames of the grid on the source's clock."""
    seconds = Fraction(frames * fps.den, fps.num)
    return _round(seconds * Fraction(video.time_base.den, video.time_base.num))


def _slot(pts: int, video: VideoFacts, fps: Rational) -> int:
    """The grid frame at a source timestamp, rounded as ffmpeg's fps filter does with `round=near`."""
    seconds = Fraction((pts - video.start) * video.time_base.num, video.time_base.den)
    return _round(seconds * Fraction(fps.num, fps.den))


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)


def _round(value: Fraction) -> int:
    """To the nearest integer, halves away from zero for positive values."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)
