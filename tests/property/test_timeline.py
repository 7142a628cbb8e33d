from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from services.shared.plan import Plan, Rational
from services.shared.task import Task
from services.transcoder.ladder import H264
from services.transcoder.source import KeyFrame, SourceInfo, VideoFacts
from services.transcoder.timeline import STANDARD_RATES, frame_rate, make_plan, make_tasks, seeks

TIME_BASES = [Rational(num=1, den=den) for den in (1000, 12_800, 15_360, 30_000, 90_000)]
QUICKTIME = Rational(num=1, den=600)


@st.composite
def videos(draw) -> VideoFacts:
    time_base = draw(st.sampled_from(TIME_BASES))
    gap = max(1, round(time_base.den / draw(st.floats(1, 240))))
    packets = draw(st.integers(1, 5000))
    start = draw(st.integers(-10, 10)) * time_base.den
    keys = {0, *draw(st.sets(st.integers(0, packets - 1), max_size=60))}
    delay = draw(st.integers(0, 3)) * gap
    return VideoFacts(
        codec="h264",
        width=draw(st.integers(16, 8000)),
        height=draw(st.integers(16, 8000)),
        time_base=time_base,
        start=start,
        end=start + packets * gap,
        packets=packets,
        typical_gap=gap,
        key_frames=tuple(KeyFrame(pts=start + n * gap, dts=start + n * gap - delay) for n in sorted(keys)),
    )


def planned(video: VideoFacts, workers: int) -> tuple[Plan, tuple[Task, ...]]:
    plan = make_plan(SourceInfo(format_name="mov,mp4", video=video, audio=()), generation=1, encoder="x")
    return plan, make_tasks(plan, video, workers=workers)


def shown_at(rate: Fraction, time_base: Rational, missing: set[int]) -> list[int]:
    """When the pictures of 40 s or more are shown, all but some of them, in ticks."""
    tick = Fraction(time_base.num, time_base.den)
    return [round(n / (rate * tick)) for n in range(2500) if n not in missing]


def facts_of(times: list[int], rate: Fraction, time_base: Rational) -> VideoFacts:
    tick = Fraction(time_base.num, time_base.den)
    return VideoFacts(
        codec="h264",
        width=640,
        height=360,
        time_base=time_base,
        start=times[0],
        end=round(times[-1] + 1 / (rate * tick)),
        packets=len(times),
        typical_gap=int(median(after - before for before, after in pairwise(times))),
        key_frames=(KeyFrame(pts=times[0], dts=times[0]),),
    )


@given(st.sampled_from(STANDARD_RATES), st.sampled_from([*TIME_BASES, QUICKTIME]))
def test_a_standard_rate_is_the_grids_whatever_the_time_base_can_tell(rate, time_base):
    found = frame_rate(facts_of(shown_at(rate, time_base, set()), rate, time_base))
    assert Fraction(found.num, found.den) == rate


@given(
    st.sampled_from([24, 25, 30, 60, Fraction(30_000, 1001)]),
    st.sets(st.integers(1, 2498), max_size=10),
)
def test_a_few_missing_pictures_cost_no_others_where_time_stamps_are_fine(rate, missing):
    time_base = Rational(num=1, den=90_000)
    times = shown_at(rate := Fraction(rate), time_base, missing)
    found = frame_rate(facts_of(times, rate, time_base))
    assert Fraction(found.num, found.den) == rate
    slots = {round(Fraction(time, 90_000) * rate) for time in times}
    assert len(slots) == len(times)


@given(videos(), st.integers(1, 50))
def test_pieces_cover_the_grid_of_every_rendition_exactly_once(video, workers):
    plan, tasks = planned(video, workers)
    for rendition in plan.renditions:
        pieces = [task.piece for task in tasks if task.piece and rendition.name in task.piece.renditions]
        assert pieces[0].first_frame == pieces[0].first_segment == 0
        assert pieces[-1].end_frame is None
        assert pieces[-1].first_segment + pieces[-1].segments == plan.segments
        for before, after in pairwise(pieces):
            assert before.end_frame == after.first_frame == after.first_segment * plan.segment_frames
            assert before.first_segment + before.segments == after.first_segment


@given(videos(), st.integers(1, 50))
def test_the_last_piece_is_never_a_mere_remainder(video, workers):
    plan, tasks = planned(video, workers)
    last = tasks[-1].piece or tasks[0].piece
    assert last is not None
    assert last.first_frame == 0 or plan.frames - last.first_frame >= plan.segment_frames


@given(videos(), st.integers(1, 50))
def test_no_piece_runs_up_further_than_a_long_piece_is(video, workers):
    plan, tasks = planned(video, workers)
    times = [
        Fraction((key.pts - video.start) * video.time_base.num, video.time_base.den)
        for key in video.key_frames
    ]
    for piece in (task.piece for task in tasks if task.piece):
        begins = Fraction(piece.first_frame * plan.fps.den, plan.fps.num)
        half_frame = Fraction(plan.fps.den, 2 * plan.fps.num)
        reached = max(time for time in times if time <= begins + half_frame)
        assert begins - reached <= 8 * 4 + 4


@given(videos(), st.data())
def test_seek_points_lie_before_the_first_frame_that_may_be_missed(video, data):
    plan, _ = planned(video, 1)
    frame = data.draw(st.integers(0, plan.frames - 1))
    for seek_s in seeks(video, plan.fps, frame):
        if seek_s is None:
            continue
        usable = [key for key in video.key_frames if _seconds(key.pts, video) <= seek_s + 1e-6]
        slot = (_seconds(usable[-1].pts, video) - _seconds(video.start, video)) * float(plan.fps)
        assert slot <= frame + 0.5 + 1e-3


@given(videos())
def test_the_grids_rate_is_a_standard_one_and_frames_are_whole_ticks(video):
    plan, _ = planned(video, 1)
    assert Fraction(plan.fps.num, plan.fps.den) in STANDARD_RATES
    assert plan.timescale * plan.fps.den % plan.fps.num == 0


@given(st.integers(16, 16_000), st.integers(16, 16_000), st.sampled_from(STANDARD_RATES))
def test_ladders_ascend_never_enlarge_and_keep_the_shape(width, height, rate):
    rungs = H264.renditions(
        width=width, height=height, fps=Rational(num=rate.numerator, den=rate.denominator)
    )
    for rung in rungs:
        assert rung.width <= width
        assert rung.height <= height
        assert rung.width % 2 == rung.height % 2 == 0
        # The shorter side is exact, the longer one within a pixel or two of the source's shape.
        assert abs(rung.width * height - rung.height * width) <= 2 * max(width, height) + width + height
    shorts = [min(rung.width, rung.height) for rung in rungs]
    assert shorts == sorted(set(shorts))
    assert [rung.bitrate for rung in rungs] == sorted(rung.bitrate for rung in rungs)
    assert len({rung.name for rung in rungs}) == len(rungs)


def _seconds(ticks: int, video: VideoFacts) -> float:
    return ticks * float(video.time_base)
