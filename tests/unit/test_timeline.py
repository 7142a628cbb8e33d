from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.shared.plan import Plan, Rational
from services.shared.task import Piece, Task, TaskKind
from services.transcoder.source import AudioFacts, KeyFrame, Look, SourceInfo, Span, TextFacts, VideoFacts
from services.transcoder.timeline import frame_rate, make_plan, make_tasks, seeks

MILLISECONDS = Rational(num=1, den=1000)


def facts(**changes: Any) -> VideoFacts:
    """A minute of 25 frames per second in Matroska, a key frame every 2 s with B-frames behind it."""
    values: dict[str, Any] = {
        "codec": "h264",
        "width": 1280,
        "height": 720,
        "time_base": MILLISECONDS,
        "start": 0,
        "end": 60_000,
        "packets": 1500,
        "typical_gap": 40,
        "key_frames": tuple(KeyFrame(pts=pts, dts=pts - 80) for pts in range(0, 60_000, 2000)),
    }
    return VideoFacts(**{**values, **changes})


def source(video: VideoFacts, *, sounds: int = 0) -> SourceInfo:
    audio = tuple(AudioFacts(index=n, codec="aac", channels=2, language="eng") for n in range(sounds))
    return SourceInfo(format_name="matroska,webm", video=video, audio=audio)


def plan_and_tasks(
    video: VideoFacts, *, workers: int = 2, sounds: int = 0, whole: bool = False
) -> tuple[Plan, tuple[Task, ...]]:
    plan = make_plan(source(video, sounds=sounds), generation=3, encoder="x")
    return plan, make_tasks(plan, video, workers=workers, whole=whole)


def piece_of(task: Task) -> Piece:
    assert task.piece is not None
    return task.piece


def bounds(tasks: tuple[Task, ...]) -> list[tuple[int, int | None]]:
    """First frame and end of the pieces, those of the first one once."""
    return list(dict.fromkeys((t.piece.first_frame, t.piece.end_frame) for t in tasks if t.piece))


@pytest.mark.parametrize(
    ("packets", "seconds", "gap_ms", "expected"),
    [
        (1500, 60, 40, (25, 1)),
        (1798, 60, 33, (30000, 1001)),
        (1800, 60, 33, (30, 1)),
        (1438, 60, 42, (24000, 1001)),
        (3600, 60, 17, (60, 1)),
        (7200, 60, 8, (60, 1)),
        (14400, 60, 4, (60, 1)),
        (600, 60, 100, (10, 1)),
        (60, 60, 1000, (5, 1)),
        (120, 60, 500, (10, 1)),  # steady, not standard: the least standard rate on which all have a place
        (180, 60, 333, (12, 1)),
        (240, 60, 250, (12, 1)),
        (450, 60, 133, (15, 1)),
        (480, 60, 125, (24, 1)),
        (480, 60, 100, (10, 1)),  # 8 frames per second on average, by no means steady
        (540, 60, 111, (10, 1)),  # 9: no such rate
        (1650, 60, 33, (30, 1)),  # a phone that drops frames
        (400, 60, 17, (60000, 1001)),  # a screen recording that mostly stands still
        (840, 60, 71, (15, 1)),  # 14 frames per second: the next standard rate
    ],
)
def test_the_grids_rate_is_the_sources_or_the_next_standard_one(packets, seconds, gap_ms, expected):
    rate = frame_rate(facts(packets=packets, end=seconds * 1000, typical_gap=gap_ms))
    assert (rate.num, rate.den) == expected


def test_the_plan_lays_the_video_on_a_grid_of_four_second_segments():
    plan, _ = plan_and_tasks(facts(), sounds=1)
    assert (plan.frames, plan.segment_frames, plan.segments) == (1500, 100, 15)
    assert plan.timescale == 12_800
    assert plan.audio[0].duration_samples == 60 * 48_000
    assert plan.input_format == "matroska,webm"
    assert plan.generation == 3


def test_a_video_that_does_not_start_at_zero_begins_at_its_first_picture():
    shifted = tuple(KeyFrame(pts=pts, dts=pts - 80) for pts in range(7323, 67_323, 2000))
    plan, _ = plan_and_tasks(facts(start=7323, end=67_323, key_frames=shifted))
    assert (plan.start_ticks, plan.frames) == (7323, 1500)


def test_ntsc_frames_are_whole_ticks():
    plan, _ = plan_and_tasks(facts(packets=1798))
    assert (plan.timescale, plan.segment_frames) == (30_000, 120)


def test_the_first_segment_is_a_piece_of_its_own_and_the_lowest_rendition_of_it_goes_first():
    plan, tasks = plan_and_tasks(facts(), sounds=2)
    assert [(task.kind, task.urgent) for task in tasks[:6]] == [
        (TaskKind.VIDEO, True),
        (TaskKind.AUDIO, True),
        (TaskKind.VIDEO, True),
        (TaskKind.PICTURES, True),
        (TaskKind.AUDIO, False),
        (TaskKind.VIDEO, False),
    ]
    lowest, others, bulk = (piece_of(tasks[n]) for n in (0, 2, 5))
    assert lowest.renditions == ("240p",)
    assert others.renditions == ("360p", "480p", "720p")
    assert lowest.end_frame == others.end_frame == bulk.first_frame == plan.segment_frames
    assert bulk.renditions == ("240p", "360p", "480p", "720p")


def test_task_names_are_unique_and_sort_in_playing_order():
    _, tasks = plan_and_tasks(facts(), sounds=1)
    names = [task.name for task in tasks]
    assert names == sorted(set(names))


def segments_of(tasks: tuple[Task, ...]) -> list[int]:
    """Segments of the pieces behind the first one."""
    pieces = {task.piece.index: task.piece.segments for task in tasks if task.piece and not task.urgent}
    return list(pieces.values())


def an_hour() -> VideoFacts:
    key_frames = tuple(KeyFrame(pts=pts, dts=pts) for pts in range(0, 3_600_000, 2000))
    return facts(end=3_600_000, packets=90_000, key_frames=key_frames)


def test_pieces_are_longer_while_there_is_much_to_do_for_each_worker():
    few = segments_of(plan_and_tasks(an_hour(), workers=2)[1])
    many = segments_of(plan_and_tasks(an_hour(), workers=400)[1])
    assert few[:-8] == [4] * len(few[:-8])
    assert many[:20] == [2] * 20


def test_pieces_get_shorter_towards_the_end_so_that_all_workers_are_done_together():
    _, tasks = plan_and_tasks(facts(), workers=2)
    assert segments_of(tasks) == [4, 3, 2, 2, 1, 1, 1]


@pytest.mark.parametrize(("workers", "divided"), [(1, 0), (2, 1), (3, 1), (5, 2)])
def test_the_last_pieces_are_divided_by_rung_so_that_nobody_waits_long_for_them(workers, divided):
    _, tasks = plan_and_tasks(facts(), workers=workers)
    pieces = [piece_of(task) for task in tasks if task.piece and not task.urgent]
    whole, parts = pieces[: len(pieces) - 2 * divided], pieces[len(pieces) - 2 * divided :]
    assert {piece.renditions for piece in whole} == {("240p", "360p", "480p", "720p")}
    assert [piece.renditions for piece in parts] == [("240p", "360p", "480p"), ("720p",)] * divided
    assert len({piece.index for piece in parts}) == divided
    assert not parts or parts[-1].end_frame is None


def test_the_last_pieces_are_short_where_key_frames_are_farther_apart_than_a_segment():
    rare = tuple(KeyFrame(pts=pts, dts=pts - 80) for pts in range(0, 60_000, 7000))
    _, tasks = plan_and_tasks(facts(key_frames=rare), workers=2)
    assert segments_of(tasks)[-3:] == [1, 1, 1]


def test_no_piece_of_large_pictures_is_more_than_half_of_a_workers_share_of_what_remains():
    for workers in (2, 5, 30):
        _, tasks = plan_and_tasks(an_hour(), workers=workers)
        for piece in (task.piece for task in tasks if task.piece and not task.urgent):
            remaining = 900 - piece.first_segment
            assert piece.segments <= max(1, remaining / (2 * workers) + 1)


def test_pieces_of_small_pictures_are_longer_so_that_each_is_worth_its_process():
    large = segments_of(plan_and_tasks(facts(), workers=8)[1])
    small = segments_of(plan_and_tasks(facts(width=320, height=180), workers=8)[1])
    assert set(large) == {1}
    assert small == [8, 6]


def test_a_remainder_of_less_than_a_segment_is_not_a_piece_of_its_own():
    _, tasks = plan_and_tasks(facts(end=21_000, packets=525))
    assert bounds(tasks) == [(0, 100), (100, 300), (300, 400), (400, None)]
    assert piece_of(tasks[-2]).segments == 2


def test_a_video_shorter_than_two_segments_is_one_piece_split_by_rendition():
    _, tasks = plan_and_tasks(facts(end=6000, packets=150))
    assert bounds(tasks) == [(0, None)]
    assert [task.piece.renditions[0] for task in tasks if task.piece] == ["240p", "360p"]


def test_no_cut_is_made_where_the_decoder_would_have_to_run_up_for_long():
    far_apart = (KeyFrame(pts=0, dts=0), KeyFrame(pts=25_000, dts=25_000), KeyFrame(pts=50_000, dts=50_000))
    _, tasks = plan_and_tasks(facts(key_frames=far_apart))
    assert bounds(tasks) == [(0, 100), (100, 700), (700, 1300), (1300, 1400), (1400, None)]


def test_a_long_piece_is_a_segment_shorter_where_its_end_is_right_behind_a_key_frame_then():
    every_5290_ms = tuple(KeyFrame(pts=pts, dts=pts) for pts in range(0, 120_000, 5290))
    _, tasks = plan_and_tasks(facts(end=120_000, packets=3000, key_frames=every_5290_ms))
    firsts = [first for first, _ in bounds(tasks)]
    assert firsts[:6] == [0, 100, 400, 800, 1200, 1600], "not 500, 900, …: each 4 s behind a key frame"


def test_a_video_with_a_single_key_frame_is_two_pieces_that_read_from_the_beginning():
    _, tasks = plan_and_tasks(facts(key_frames=(KeyFrame(pts=0, dts=0),)))
    assert bounds(tasks) == [(0, 100), (100, None)]
    assert {task.piece.seeks_s for task in tasks if task.piece} == {(None,)}


def test_a_source_that_cannot_be_cut_is_a_single_piece():
    _, tasks = plan_and_tasks(facts(), whole=True)
    assert bounds(tasks) == [(0, None)]


def test_seeking_lands_between_the_key_frame_and_the_decoding_time_of_the_next():
    video = facts()
    fps = Rational(num=25, den=1)
    # The key frame at 4.0 s: 0.14 s behind it. Two key frames earlier is the beginning.
    assert seeks(video, fps, 100) == (4.14, None)
    assert seeks(video, fps, 149) == (4.14, None)
    assert seeks(video, fps, 300) == (12.14, 8.14)


def test_where_key_frames_are_close_the_seek_point_is_half_way_to_the_next():
    every = tuple(KeyFrame(pts=pts, dts=pts) for pts in range(0, 60_000, 40))
    assert seeks(facts(key_frames=every), Rational(num=25, den=1), 100) == (4.02, 3.94)


def test_what_needs_finished_tracks_comes_last_behind_captions_if_there_are_any():
    _, tasks = plan_and_tasks(facts(end=20_000, packets=500))
    assert [task.kind for task in tasks[-2:]] == [TaskKind.VIDEO, TaskKind.STORYBOARD]
    info = replace(source(facts(end=20_000, packets=500)), texts=(TextFacts(index=1, language="en"),))
    plan = make_plan(info, generation=0, encoder="x")
    tasks = make_tasks(plan, info.video, workers=1)
    assert [text.track for text in plan.texts] == ["text1"]
    assert [task.kind for task in tasks[-2:]] == [TaskKind.CAPTIONS, TaskKind.STORYBOARD]


def with_sound(video: VideoFacts, start_s: float, end_s: float) -> Plan:
    info = replace(source(video, sounds=1), sound=Span(start_s=start_s, end_s=end_s))
    return make_plan(info, generation=0, encoder="x")


def test_the_picture_stands_still_where_there_is_only_sound():
    plan = with_sound(facts(start=2000, end=62_000), 0.0, 70.0)
    assert (plan.lead_frames, plan.tail_frames) == (50, 200)
    assert (plan.start_ticks, plan.frames) == (0, 1750)
    assert plan.audio[0].duration_samples == 70 * 48_000


def test_a_little_sound_before_and_after_the_picture_is_cut_off():
    plan = with_sound(facts(start=400, end=60_400), 0.0, 60.8)
    assert (plan.lead_frames, plan.tail_frames) == (0, 0)
    assert (plan.start_ticks, plan.frames) == (400, 1500)


def test_a_single_picture_that_stands_for_minutes_is_not_shown_more_often_than_need_be():
    rate = frame_rate(facts(packets=1, end=180_000, typical_gap=0))
    assert (rate.num, rate.den) == (5, 1)


def test_pieces_of_a_film_that_begins_late_are_cut_where_its_pictures_are():
    late = facts(
        start=8000, end=68_000, key_frames=tuple(KeyFrame(pts=p, dts=p) for p in range(8000, 68_000, 2000))
    )
    info = replace(source(late, sounds=1), sound=Span(start_s=0.0, end_s=60.0))
    plan = make_plan(info, generation=0, encoder="x")
    tasks = make_tasks(plan, late, workers=2)
    first, *rest = dict.fromkeys(task.piece for task in tasks if task.piece)
    assert first.seeks_s == (None,)
    assert all(piece.seeks_s[0] is not None for piece in rest if piece.first_frame > 250)
    reached = [seeks(replace(late, start=plan.start_ticks), plan.fps, piece.first_frame) for piece in rest]
    assert [piece.seeks_s for piece in rest] == reached


def test_decoding_begins_a_key_frame_earlier_where_two_fields_make_a_picture():
    fps = Rational(num=25, den=1)
    woven = facts(look=Look(interlaced=True))
    assert seeks(woven, fps, 100)[0] == seeks(facts(), fps, 99)[0] == 2.14
    assert seeks(woven, fps, 101)[0] == seeks(facts(), fps, 101)[0] == 4.14


def test_decoding_begins_two_key_frames_earlier_where_pictures_are_refreshed_gradually():
    fps = Rational(num=25, den=1)
    assert seeks(facts(gradual=True), fps, 320) == (8.14, 4.14)
    assert seeks(facts(), fps, 320) == (12.14, 8.14)


def test_a_last_picture_that_does_not_tell_for_how_long_it_is_shown_stands_still():
    plan, _ = plan_and_tasks(facts(open_ended=True))
    assert (plan.frames, plan.tail_frames) == (1500, 1)
