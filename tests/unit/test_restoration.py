"""A track that is made again: when it counts, and what is said of it meanwhile."""

from __future__ import annotations

from services.shared.task import Task, lacking
from services.shared.video import Omission, Status
from services.transcoder.availability import availability
from services.transcoder.restoration import edition_of, omissions, with_restored
from tests.harness.videos import done, plan_record, task_records, video_record

PLAN = plan_record().without("480p").model_copy(update={"restoring": "480p"})
LEFT_OUT = Omission(rendition="480p", reason="It was broken.", progress=0.0)
OTHER = Omission(rendition="a1", reason="It was broken, too.")
VIDEO = video_record(status=Status.READY, omitted=(OTHER, LEFT_OUT))


def without_it(task: Task) -> Task:
    """The task, done, but for the track in question."""
    result = done(task).result
    assert result is not None
    kept = {name: made for name, made in result.tracks.items() if name != "480p"}
    return task.model_copy(update={"result": result.model_copy(update={"tracks": kept})})


FIRST, SECOND, *OTHERS = task_records()
REST = [*map(done, OTHERS)]
NOTHING = [without_it(FIRST), without_it(SECOND), *REST]
HALF = [done(FIRST), without_it(SECOND), *REST]
ALL = [done(FIRST), done(SECOND), *REST]


def test_the_track_comes_back_when_each_of_its_tasks_has_made_it_and_not_before():
    assert [task.name for task in lacking(HALF, "480p")] == ["piece-1"]
    assert with_restored(PLAN, NOTHING) == with_restored(PLAN, HALF) == PLAN
    assert with_restored(PLAN, ALL) == plan_record()


def test_until_then_the_video_is_as_complete_as_it_was():
    for tasks in (NOTHING, HALF):
        shown = availability(PLAN, tasks)
        assert shown.complete
        assert shown.video_segments == {"240p": 4}
    assert availability(with_restored(PLAN, ALL), ALL).video_segments == {"240p": 4, "480p": 4}


def test_the_record_says_how_far_it_is_and_then_nothing():
    shares = [[left.progress for left in omissions(VIDEO, PLAN, tasks)] for tasks in (NOTHING, HALF, ALL)]
    assert shares == [[None, 0.0], [None, 0.5], [None]]
    assert VIDEO.restoring == "480p"


def test_what_a_video_goes_without_is_left_alone_while_nothing_is_made_again():
    video = VIDEO.model_copy(update={"omitted": (OTHER,)})
    assert omissions(video, plan_record().without("a1"), ALL) == (OTHER,)


def test_manifests_with_and_without_a_track_have_names_of_their_own():
    assert edition_of(PLAN) != edition_of(plan_record())
    assert edition_of(with_restored(PLAN, ALL)) == edition_of(plan_record())


def test_a_beginning_of_sound_that_was_left_out_does_not_keep_the_whole_track_from_coming_back():
    sound = OTHERS[0]
    beginning = without_it(sound.model_copy(update={"name": "audio-a0-opening", "leading": 2}))
    empty = beginning.model_copy(
        update={"result": beginning.result and beginning.result.model_copy(update={"tracks": {}})}
    )
    assert availability(plan_record(), [*ALL, empty]).audio_segments == {"a0": 4}
