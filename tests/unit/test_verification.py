"""What a verification decides without looking at anything."""

from __future__ import annotations

from typing import Any

import pytest

from services.shared.filenames import final_file, init_file, segment_file
from services.shared.manifest import final_files
from services.shared.task import TrackResult
from services.shared.verification import Fault, FaultKind, Outcome, Verification
from services.shared.video import Status, Verdict
from services.transcoder.verification.case import Case
from services.transcoder.verification.manifests import objection_to
from services.transcoder.verification.mending import given_up, orders
from tests.harness.boxes import segment
from tests.harness.videos import done, plan_record, task_records, video_record


def case() -> Case:
    """Two renditions of four segments of 100 frames, the last piece having all of its frames, and a sound."""
    tasks = [done(task, frames=200) for task in task_records()]
    return Case(video=video_record(status=Status.READY, poster=True), plan=plan_record(), tasks=tasks)


def record(*faults: Fault, **changes: object) -> Verification:
    return Verification(generation=0, requested_at_ms=1, faults=faults).model_copy(update=changes)


def fault(kind: FaultKind = FaultKind.MISSING, file: str = "f", **fields: object) -> Fault:
    return Fault.model_validate({"kind": kind, "file": file, **fields})


def test_every_file_of_a_video_is_looked_at_once():
    looked_at = case()
    steps = [name for stretch in looked_at.stretches for name in stretch.files]
    files = [*steps, *looked_at.others, *looked_at.originals]
    assert len(files) == len(set(files))
    assert {*looked_at.manifests} < set(looked_at.others)
    assert {"poster-g0.jpg"} <= set(looked_at.others)
    assert len(steps) == 3 * (1 + 4)


def test_a_step_is_some_seconds_of_work_however_long_the_video_is():
    plan = plan_record().model_copy(update={"frames": 500 * 100})
    track = TrackResult(segments=500, size_bytes=1, peak_bitrate=1, codec="avc1", init_sha256="a")
    tasks = []
    for task in task_records():
        result = done(task, frames=500 * 100).result
        assert result
        tracks = dict.fromkeys(result.tracks, track)
        tasks.append(task.model_copy(update={"result": result.model_copy(update={"tracks": tracks})}))
    long = Case(video=video_record(status=Status.READY), plan=plan, tasks=[tasks[0], *tasks[2:]])
    pixels = [
        len(stretch.numbers) * stretch.outline.frames * stretch.outline.pixels for stretch in long.stretches
    ]
    assert max(pixels) <= 1920 * 1080 * 600
    for outline in long.outlines:
        numbers = [n for stretch in long.stretches if stretch.outline is outline for n in stretch.numbers]
        assert numbers == [*range(outline.segments)]


@pytest.mark.parametrize(
    ("number", "form", "objection"),
    [
        (1, {"begins": 51_200, "frames": 100, "ticks": 512}, ""),
        (1, {"begins": 0, "frames": 100, "ticks": 512}, "It begins at 0, not 51200 (ticks)."),
        (1, {"begins": 51_200, "frames": 99, "ticks": 512}, "It has 99 frames, not 100."),
        (1, {"begins": 51_200, "frames": 100, "ticks": 511}, "It lasts 51100, not 51200 (ticks)."),
        (3, {"begins": 153_600, "frames": 101, "ticks": 512}, "It has 101 frames, not 100."),
    ],
)
def test_a_segment_must_fit_between_its_neighbours(number: int, form: dict[str, int], objection: str):
    (outline, *_) = case().outlines
    assert outline.objection_to(number, segment(**form)) == objection


def test_the_last_block_of_sound_may_reach_beyond_the_end():
    sound = case().outlines[-1]
    begins, blocks = 3 * 188 * 1024, -(-(16 * 48_000 + 1024 - 3 * 188 * 1024) // 1024)
    assert sound.frames_of(3) == blocks
    assert sound.objection_to(3, segment(begins=begins, frames=blocks, ticks=1024)) == ""
    assert "frames, not" in sound.objection_to(3, segment(begins=begins, frames=blocks + 1, ticks=1024))


@pytest.mark.parametrize(
    "data", [b"", b"garbage that is no box at all", segment(begins=0, frames=1, ticks=1) * 2]
)
def test_what_is_no_single_segment_is_objected_to(data: bytes):
    (outline, *_) = case().outlines
    assert outline.objection_to(0, data)
    assert outline.objection_to_init(data, "a")


def test_what_we_write_into_manifests_is_what_we_read_there():
    looked_at = case()
    for name, text in final_files(looked_at.plan, looked_at.shown.available).items():
        assert objection_to(name, text, looked_at.shown, looked_at.outlines) == ""


@pytest.mark.parametrize(
    ("name", "edit", "problem"),
    [
        ("manifest.mpd", (b' d="', b' d="1'), "gives other segments of"),
        ("manifest.mpd", (b"startNumber", b"media='x' startNumber"), "cannot be read"),
        ("manifest.mpd", (b"240p-g0-init.mp4", b"480p-g0-init.mp4"), "gives other segments of 240p"),
        ("manifest.mpd", (b'id="240p"', b'id="241p"'), "tells of the tracks 241p, 480p, a0"),
        ("manifest.mpd", (b'"static"', b'"dynamic"'), "still growing"),
        ("manifest.mpd", (b"PT16.", b"PT15."), "another duration"),
        ("manifest.mpd", (b"</MPD>", b""), "cannot be read"),
        ("a0.m3u8", (b"a0-g0-00001.m4s", b"a0-g0-00002.m4s"), "names other segments"),
        ("a0.m3u8", (b"a0-g0-init.mp4", b"a0-g1-init.mp4"), "names another initialisation segment"),
        ("a0.m3u8", (b"EXTINF:4", b"EXTINF:3"), "gives other durations"),
        ("a0.m3u8", (b"#EXT-X-ENDLIST", b""), "still growing"),
        ("master.m3u8", (b"a0.m3u8", b"a1.m3u8"), "does not tell of a0"),
    ],
)
def test_a_manifest_that_says_something_else_is_objected_to(
    name: str, edit: tuple[bytes, bytes], problem: str
):
    looked_at = case()
    text = final_files(looked_at.plan, looked_at.shown.available)[name]
    edited = text.replace(*edit)
    assert edited != text
    assert problem in objection_to(name, edited, looked_at.shown, looked_at.outlines)


@pytest.mark.parametrize("repeats", ["9999999999999", "-1", "many"])
def test_a_timeline_cannot_exhaust_who_reads_it(repeats: str):
    looked_at = case()
    text = final_files(looked_at.plan, looked_at.shown.available)["manifest.mpd"]
    edited = text.replace(b' r="', f' r="{repeats}" x="'.encode())
    assert edited != text
    assert objection_to("manifest.mpd", edited, looked_at.shown, looked_at.outlines)


def test_the_verdict_is_sound_only_if_everything_was_seen_and_nothing_is_left_to_mend():
    mended = fault(outcome=Outcome.MENDED)
    expected = {
        Verdict.SOUND: [record(), record(mended)],
        Verdict.FAULTY: [record(fault()), record(mended, faults_untold=1), record(fault(), reason="it died")],
        Verdict.UNCERTAIN: [record(unreachable=("a",)), record(mended, unreachable=("a",))],
    }
    for verdict, records in expected.items():
        assert [one.concluded(now_ms=2).verdict for one in records] == [verdict] * len(records)
    assert record().concluded(now_ms=2, reason="Given up.").verdict is Verdict.UNCERTAIN


def test_a_fault_that_is_met_twice_is_told_once_and_only_so_many_are():
    noted = record().noting([fault(), fault(), fault(nodes=("a",))]).noting([fault()])
    assert len(noted.faults) == 2
    many = record().noting(fault(file=f"f{number}") for number in range(300))
    assert (len(many.faults), many.faults_untold) == (200, 100)


def test_of_what_is_missing_as_little_as_possible_is_made_again():
    files = [
        fault(file=segment_file("240p", 0, 0), track="240p"),
        fault(file=segment_file("240p", 0, 1), track="240p"),
        fault(file=init_file("480p", 0), track="480p"),
        fault(file=segment_file("480p", 0, 3), track="480p"),
        fault(file="poster-g0.jpg"),
        fault(file=final_file("manifest.mpd", 0)),
        fault(file="source-00000.part"),
        fault(FaultKind.TIMELINE, file=segment_file("240p", 0, 3), track="240p"),
        fault(file=segment_file("a0", 0, 1), track="a0", outcome=Outcome.MENDED),
    ]
    found = orders(case(), files)
    assert [(order.task, order.tracks, len(order.files)) for order in found] == [
        ("piece-0", ("240p",), 2),
        ("piece-0", ("480p",), 1),
        ("piece-1", ("480p",), 1),
        ("pictures", (), 1),
        ("", (), 1),
    ]


def test_what_nothing_can_mend_is_told_apart_from_what_nodes_go_on_with():
    kinds = [FaultKind.TIMELINE, FaultKind.MISSING, FaultKind.LACKING]
    resigned = given_up(record(*(fault(kind) for kind in kinds))).faults
    outcomes = [Outcome.BEYOND_REPAIR, Outcome.BEYOND_REPAIR, Outcome.OPEN]
    assert [one.outcome for one in resigned] == outcomes
    assert all(one.problem for one in resigned[:2])


@pytest.mark.parametrize(
    ("found", "end", "again"),
    [
        (record(), {}, False),
        (record(unreachable=("a",)), {}, True),
        (record(), {"reason": "No node answers.", "cut_short": True}, True),
        (record(fault(), unreachable=("a",)), {"reason": "No node answers.", "cut_short": True}, True),
        (record(), {"reason": "It ends each worker."}, False),
        (record(unreachable=("a",)), {"reason": "It ends each worker."}, False),
        (record(fault(), unreachable=("a",)), {}, False),
    ],
)
def test_somebody_looks_again_where_what_was_away_may_come_back(
    found: Verification, end: dict[str, Any], *, again: bool
):
    concluded = found.concluded(now_ms=2, **end)
    assert concluded.is_worth_another_look is again
    assert not concluded.begun_again().cut_short
