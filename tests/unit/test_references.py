import pytest

from services.shared.captions import Caption, Captioning
from services.shared.references import References, references
from services.shared.storyboard import storyboard_of
from services.shared.task import Task, TaskKind, TaskResult
from services.shared.video import Status
from tests.harness.videos import done, plan_record, task_records, video_record

SOURCE = {"source-00000.part", "source-00001.part"}
MANIFESTS = {"manifest-g0.mpd", "master-g0.m3u8", "240p-g0.m3u8", "480p-g0.m3u8", "a0-g0.m3u8"}


def ready(generation: int = 0) -> References:
    video = video_record(status=Status.READY, generation=generation, poster=True)
    return references(video, plan_record(generation), map(done, task_records()))


def files(track: str, *numbers: int, generation: int = 0) -> set[str]:
    segments = {f"{track}-g{generation}-{number:05d}.m4s" for number in numbers}
    return {f"{track}-g{generation}-init.mp4", *segments}


def test_an_upload_needs_its_original():
    assert references(video_record(), None, ()).needed == SOURCE


def test_a_ready_video_needs_all_its_tracks_its_picture_and_its_manifests():
    tracks = files("240p", 0, 1, 2, 3) | files("480p", 0, 1, 2, 3) | files("a0", 0, 1, 2, 3)
    assert ready().needed == SOURCE | tracks | MANIFESTS | {"poster-g0.jpg"}


def test_a_video_in_the_making_needs_what_its_finished_tasks_made():
    first, second, sound, pictures = task_records()
    video = video_record(status=Status.PROCESSING)
    found = references(video, plan_record(), [done(first), second, sound, pictures])
    assert found.needed == SOURCE | files("240p", 0, 1) | files("480p", 0, 1)


def test_sound_counts_as_far_as_it_is_reported():
    sound = task_records()[2].model_copy(update={"segments_done": 2})
    found = references(video_record(status=Status.PROCESSING), plan_record(), [sound])
    assert found.needed == SOURCE | files("a0", 0, 1)


def test_an_original_that_had_to_be_repacked_is_needed_in_both_forms():
    found = references(video_record(status=Status.PROCESSING), plan_record(remuxed_parts=2), ())
    assert found.needed == SOURCE | {"remuxed-g0-00000.part", "remuxed-g0-00001.part"}


def test_no_picture_is_needed_where_none_could_be_made():
    pictures = done(task_records()[-1], frames=0)
    video = video_record(status=Status.READY)
    assert "poster-g0.jpg" not in references(video, plan_record(), [pictures]).needed


def test_segments_beyond_the_recorded_end_are_told_and_stay_since_pieces_can_be_made_again():
    first, second, *others = task_records()
    tasks = [done(first), done(second, segments=1), *map(done, others)]
    found = references(video_record(status=Status.READY), plan_record(), tasks)
    assert "480p-g0-00002.m4s" in found.needed
    assert found.is_stray("480p-g0-00003.m4s")
    assert not found.is_garbage("480p-g0-00003.m4s")


def test_a_rendition_that_was_left_out_is_no_longer_needed():
    plan = plan_record()
    plan = plan.model_copy(update={"renditions": plan.renditions[:1]})
    found = references(video_record(status=Status.READY), plan, map(done, task_records()))
    assert found.needed == SOURCE | files("240p", 0, 1, 2, 3) | files("a0", 0, 1, 2, 3) | (
        MANIFESTS - {"480p-g0.m3u8"}
    ) | {"poster-g0.jpg"}


def test_a_refused_video_needs_nothing_and_all_it_has_is_garbage():
    found = references(video_record(status=Status.FAILED, refused=True), None, ())
    assert found.needed == set()
    assert all(found.is_garbage(name) and found.is_stray(name) for name in ["source-00000.part", "x.bin"])


def test_earlier_generations_of_a_settled_video_are_garbage():
    for status in (Status.READY, Status.FAILED):
        found = references(video_record(status=status, generation=1), None, ())
        for name in ("480p-g0-00000.m4s", "a0-g0-init.mp4", "poster-g0.jpg", "remuxed-g0-00000.part"):
            assert found.is_garbage(name)
            assert found.is_stray(name)


@pytest.mark.parametrize("status", [Status.UPLOADED, Status.PROCESSING, Status.PLAYABLE])
def test_nothing_of_a_video_in_the_making_is_garbage(status):
    found = references(video_record(status=status, generation=1), None, ())
    assert not found.is_garbage("480p-g0-00000.m4s")
    assert not found.is_stray("480p-g0-00000.m4s")


def test_what_a_failed_video_may_go_on_with_stays():
    found = references(video_record(status=Status.FAILED), plan_record(), task_records())
    for name in ("480p-g0-00000.m4s", "a0-g0-init.mp4", "manifest-g0.mpd"):
        assert not found.is_garbage(name)
        assert not found.is_stray(name)


def test_a_picture_that_comes_late_stays():
    *others, pictures = task_records()
    tasks = [*map(done, others), pictures]
    found = references(video_record(status=Status.READY), plan_record(), tasks)
    assert not found.is_garbage("poster-g0.jpg")
    assert not found.is_stray("poster-g0.jpg")


@pytest.mark.parametrize("name", ["s0-g0-00000.m4s", "thumbnails-g0.vtt", "notes.txt", "source-00009.part"])
def test_what_this_version_does_not_know_is_told_and_never_removed(name):
    assert ready().is_stray(name)
    assert not ready().is_garbage(name)


def test_a_generation_that_the_records_have_not_come_to_stays():
    assert not ready().is_garbage("480p-g1-00000.m4s")


BOARD = storyboard_of(segments=30, width=426, height=240)
FOUND = Caption(name="en", language="en", title="", track="text0", file="text0-g0.vtt", size_bytes=1)
GIVEN = FOUND.model_copy(update={"name": "de", "track": "captions2-0a", "file": "captions2-0a.vtt"})


def with_extras() -> References:
    captions = Captioning(offered=(FOUND, GIVEN), edition=2)
    video = video_record(status=Status.READY, storyboard=BOARD, captions=captions)
    return references(video, plan_record(), map(done, task_records()))


def test_a_ready_video_needs_its_storyboard_and_its_captions():
    extras = {"storyboard-g0.vtt", "storyboard-g0-00000.jpg", "storyboard-g0-00001.jpg"}
    assert extras | {"text0-g0.vtt", "captions2-0a.vtt"} <= with_extras().needed


def test_extras_that_are_recorded_with_their_task_only_are_needed_too():
    made = TaskResult(worker="w", storyboard=BOARD, captions=(FOUND,))
    tasks = [Task(name="x", kind=kind, result=made) for kind in (TaskKind.STORYBOARD, TaskKind.CAPTIONS)]
    needed = references(video_record(status=Status.PROCESSING), plan_record(), tasks).needed
    assert {"storyboard-g0-00001.jpg", "text0-g0.vtt"} <= needed


@pytest.mark.parametrize("name", ["captions1-0a.vtt", "captions2-ff.vtt"])
def test_captions_that_were_replaced_are_garbage(name):
    assert with_extras().is_garbage(name)
    assert with_extras().is_stray(name)


def test_captions_that_are_just_being_given_stay():
    assert not with_extras().is_garbage("captions3-0a.vtt")
    assert not with_extras().is_stray("captions3-0a.vtt")


@pytest.mark.parametrize("name", ["storyboard-g0-00009.jpg", "storyboard-g0.vtt", "text7-g0.vtt"])
def test_extras_that_come_late_stay(name):
    assert not ready().is_stray(name)
    assert not ready().is_garbage(name)


def test_extras_of_earlier_generations_are_garbage():
    for name in ("storyboard-g0-00000.jpg", "storyboard-g0.vtt", "text0-g0.vtt"):
        assert ready(1).is_garbage(name)


def test_of_a_video_whose_original_was_dropped_only_what_was_made_is_needed():
    video = video_record(status=Status.READY, original_dropped=True)
    found = references(video, plan_record(remuxed_parts=2), map(done, task_records()))
    kept = references(video_record(status=Status.READY), plan_record(), map(done, task_records()))
    assert found.needed == kept.needed - SOURCE
    assert found.is_garbage("source-00000.part")
    assert found.is_garbage("remuxed-g0-00000.part")
    assert not kept.is_garbage("source-00000.part")


def test_a_track_that_was_left_out_may_come_back_so_none_of_its_files_is_garbage():
    plan = plan_record().without("480p")
    video, tasks = video_record(status=Status.READY), [*map(done, task_records())]
    left_out = references(video, plan, tasks)
    coming = references(video, plan.model_copy(update={"restoring": "480p"}), tasks)
    for name in files("480p", 0, 1):
        assert left_out.is_stray(name)
        assert not coming.is_stray(name)
        assert not left_out.is_garbage(name)
        assert not coming.is_garbage(name)


def test_manifests_without_a_track_that_has_come_back_are_out_of_use_and_no_others():
    video = video_record(status=Status.READY, edition="0123abcd", former_editions=("", "ffffffff"))
    found = references(video, plan_record(), map(done, task_records()))
    assert {"manifest-g0-0123abcd.mpd", "480p-g0-0123abcd.m3u8"} <= found.needed
    assert found.is_garbage("manifest-g0.mpd")
    assert found.is_garbage("master-g0-ffffffff.m3u8")
    assert not found.is_garbage("manifest-g0-0123abcd.mpd")
    assert not found.is_garbage("manifest-g0-89abcdef.mpd"), "it may be the next one"
