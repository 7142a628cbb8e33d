import pytest

from services.shared.errors import ConflictError, InvalidRequestError
from services.shared.filenames import final_file, segment_file
from services.shared.task import Task, TaskKind, TaskResult, due, tracks_complete
from services.shared.video import TRANSITIONS, Source, Status, Video, check_video_id, new_video_id

SOURCE = Source(size_bytes=1, sha256="0" * 64, part_bytes=1 << 20, parts=1)


def video(status: Status) -> Video:
    return Video(id=new_video_id(), title="t", status=status, created_at_ms=1, updated_at_ms=1, source=SOURCE)


def test_newer_ids_sort_before_older_ones():
    older, newer = new_video_id(now_s=1_000_000.000), new_video_id(now_s=1_000_000.001)
    assert newer < older


def test_an_id_passes_its_own_check():
    assert len({check_video_id(new_video_id()) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "bad", ["", "short", "x" * 17, "UPPERCASEUPPERCA", "../../etc/passwd", "aaaaaaaaaaaaaa/a"]
)
def test_what_is_no_id_is_refused(bad):
    with pytest.raises(InvalidRequestError):
        check_video_id(bad)


def test_every_status_has_its_transitions_and_deleted_is_final():
    assert set(TRANSITIONS) == set(Status)
    assert not TRANSITIONS[Status.DELETED]
    assert all(
        Status.DELETED in after for status, after in TRANSITIONS.items() if status is not Status.DELETED
    )


def test_a_transition_outside_the_table_is_a_conflict():
    with pytest.raises(ConflictError, match="ready cannot become processing"):
        video(Status.READY).moved_to(Status.PROCESSING, now_ms=2)


def test_a_transition_keeps_the_rest_and_stamps_the_time():
    before = video(Status.UPLOADED)
    after = before.moved_to(Status.FAILED, now_ms=7, reason="no picture")
    assert (after.status, after.updated_at_ms, after.reason) == (Status.FAILED, 7, "no picture")
    assert after.id == before.id


def test_a_record_of_a_newer_version_can_be_read():
    stored = video(Status.READY).encode().replace(b'"title"', b'"colour":"blue","title"')
    assert Video.model_validate_json(stored).title == "t"


def test_file_names_carry_the_generation():
    assert segment_file("720p", 2, 31) == "720p-g2-00031.m4s"
    assert final_file("manifest.mpd", 0) == "manifest-g0.mpd"


def task(kind: TaskKind, order: int, *, done: bool = False) -> Task:
    return Task(name=kind, kind=kind, order=order, result=TaskResult(worker="w") if done else None)


def test_what_needs_finished_tracks_is_due_only_when_they_are():
    board, captions = task(TaskKind.STORYBOARD, 3), task(TaskKind.CAPTIONS, 2)
    piece, sound = task(TaskKind.VIDEO, 1), task(TaskKind.AUDIO, 0, done=True)
    assert due([board, captions, piece, sound]) == [piece, captions]
    assert not tracks_complete([board, captions, piece, sound])
    finished = task(TaskKind.VIDEO, 1, done=True)
    assert due([board, captions, finished, sound]) == [captions, board]
    assert tracks_complete([board, captions, finished, sound])


def test_sweepers_look_after_a_ready_video_as_long_as_extras_are_due():
    ready = video(Status.READY)
    assert not ready.work_remains
    assert ready.model_copy(update={"extras_due": True}).work_remains
    assert video(Status.PROCESSING).work_remains
    assert not video(Status.FAILED).model_copy(update={"extras_due": True}).work_remains
