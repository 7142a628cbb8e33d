from __future__ import annotations

from dataclasses import replace

import pytest

from services.shared.plan import Plan, Rational
from services.shared.task import Task, TaskKind, lacking
from services.transcoder.opening import opening_tasks, remaining_tasks, surveyed
from services.transcoder.source import AudioFacts, KeyFrame, SourceInfo, VideoFacts
from services.transcoder.timeline import make_plan, make_tasks

KNOWN = VideoFacts(
    codec="h264",
    width=1280,
    height=720,
    time_base=Rational(num=1, den=1000),
    start=0,
    end=600_000,
    packets=15_000,
    typical_gap=40,
    key_frames=tuple(KeyFrame(pts=pts, dts=pts - 80) for pts in range(0, 600_000, 2000)),
)
GUESSED = replace(KNOWN, end=601_234, packets=15_031, key_frames=KNOWN.key_frames[:5])


def info(video: VideoFacts, *, sounds: int = 2) -> SourceInfo:
    audio = tuple(AudioFacts(index=n, codec="aac", channels=2, language="eng") for n in range(sounds))
    return SourceInfo(format_name="matroska,webm", video=video, audio=audio)


def begun(*, sounds: int = 2) -> tuple[Plan, tuple[Task, ...]]:
    plan = make_plan(info(GUESSED, sounds=sounds), generation=0, encoder="x")
    plan = plan.model_copy(update={"surveyed": False})
    return plan, opening_tasks(plan, GUESSED)


def completed(plan: Plan, opening: tuple[Task, ...], *, workers: int = 2) -> tuple[Plan, tuple[Task, ...]]:
    whole = surveyed(plan, info(KNOWN))
    assert whole
    rest = remaining_tasks(whole, KNOWN, workers=workers, opening=opening)
    assert rest
    return whole, rest


def titles(tasks: tuple[Task, ...]) -> list[str]:
    return [task.name.partition("-")[2] for task in tasks]


def test_the_opening_makes_a_video_playable_and_then_has_its_source_surveyed():
    _, opening = begun()
    assert titles(opening) == [
        "piece-0-240p",
        "audio-a0-opening",
        "piece-0-360p-720p",
        "pictures",
        "audio-a1-opening",
        "survey",
    ]
    assert all(task.urgent for task in opening)
    assert [task.order for task in opening] == [0, 1, 2, 3, 4, 5]
    assert [task.name[:5] for task in opening] == [f"{number:05d}" for number in range(6)]


def test_a_silent_video_opens_without_sound():
    assert "audio" not in " ".join(titles(begun(sounds=0)[1]))


def test_the_survey_gives_a_plan_its_length_and_nothing_else():
    plan, opening = begun()
    whole, _ = completed(plan, opening)
    assert (whole.frames, whole.surveyed) == (15_000, True)
    assert {track.duration_samples for track in whole.audio} == {600 * 48_000}
    assert whole.model_copy(update={"frames": plan.frames, "audio": plan.audio, "surveyed": False}) == plan


@pytest.mark.parametrize(
    "change", [{"start": 40}, {"packets": 12_000}, {"time_base": Rational(num=1, den=900)}]
)
def test_a_source_that_is_not_as_it_began_needs_another_plan(change):
    assert surveyed(begun()[0], info(replace(KNOWN, **change))) is None


def test_opening_and_rest_are_all_that_a_plan_has_to_do():
    plan, opening = begun()
    whole, rest = completed(plan, opening)
    wanted = make_tasks(whole, KNOWN, workers=2)
    extra = {"audio-a0-opening", "audio-a1-opening", "survey"}
    assert {*titles(opening), *titles(rest)} == {*titles(wanted)} | extra
    assert [t.piece for t in (*opening, *rest) if t.piece] == [t.piece for t in wanted if t.piece]
    assert [t.order for t in (*opening, *rest)] == [*range(len(opening) + len(rest))]
    assert not any(task.urgent for task in rest)


def test_whole_sounds_come_after_the_pieces_that_there_is_sound_for_already():
    kinds = [task.kind for task in completed(*begun())[1]]
    first_sound = kinds.index(TaskKind.AUDIO)
    assert first_sound > 0
    assert TaskKind.VIDEO in kinds[first_sound:]


def test_what_a_broken_off_survey_added_does_not_shift_the_numbers():
    plan, opening = begun()
    whole, rest = completed(plan, opening)
    assert remaining_tasks(whole, KNOWN, workers=2, opening=(*opening, *rest)) == rest


def test_a_track_left_out_meanwhile_stays_out():
    plan, opening = begun()
    smaller = plan.model_copy(update={"renditions": plan.renditions[1:], "audio": plan.audio[:1]})
    whole, rest = completed(smaller, opening)
    assert (whole.renditions, len(whole.audio)) == (plan.renditions[1:], 1)
    assert "audio-a1" not in titles(rest)


@pytest.mark.parametrize("track", ["720p", "a1"])
def test_a_track_that_is_left_out_before_the_survey_can_still_be_made_in_full_later(track: str):
    plan, opening = begun()
    whole, rest = completed(plan.without(track), opening)
    assert whole.left_out == {track}
    assert whole.full == completed(plan, opening)[0]
    everything, others = lacking((*opening, *rest), track), lacking((*opening, *rest), "240p")
    if track == "720p":
        assert [task.piece and task.piece.end_frame for task in everything] == [
            task.piece and task.piece.end_frame for task in others
        ]
    else:
        assert len(everything) == 1
