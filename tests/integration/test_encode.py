from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.shared.errors import TransientJobError, UnfitPieceError
from services.transcoder.encode import Encoded, PieceJob, encode_piece
from services.transcoder.process import Limits
from tests.harness.children import alive, children
from tests.harness.media import (
    Collector,
    planned,
    transcode,
    whole,
)
from tests.harness.pieces import check_pictures, check_tracks
from tests.harness.range_server import range_server
from tests.harness.sources import BIKES, Recipe
from tests.harness.waiting import eventually

MP4 = Recipe(name="mp4_25")


async def job_for_last_piece(folder: Path, **changes: Any) -> PieceJob:
    """The last two segments as one piece."""
    source, plan, tasks = await planned(MP4.make(folder))
    *_, before_last, last = (task.piece for task in tasks if task.piece)
    segments = before_last.segments + last.segments
    piece = before_last.model_copy(update={"end_frame": None, "segments": segments, **changes})
    return PieceJob(source=source, plan=plan, piece=piece)


def longer_than_its_source(job: PieceJob, *, frames: int = 300) -> PieceJob:
    """The job, by a plan that expects more than there is."""
    return replace(job, plan=job.plan.model_copy(update={"frames": job.plan.frames + frames}))


async def test_renditions_made_from_one_decode_are_each_what_a_single_run_makes(source_folder, tmp_path):
    done = await transcode(Recipe(name="two_rungs", size="534x300", duration_s=16).make(source_folder))
    assert [rendition.name for rendition in done.plan.renditions] == ["240p", "300p"]
    check_tracks(done, tmp_path)
    check_pictures(done)


async def test_real_footage_over_http_comes_out_whole(tmp_path):
    with range_server(BIKES.parent) as address:
        done = await transcode(f"{address}/{BIKES.name}")
        check_tracks(done, tmp_path)
        check_pictures(done)
    assert done.frames == 250


async def test_a_truncated_file_comes_out_as_far_as_it_goes(source_folder, tmp_path):
    original = Recipe(name="faststart", muxer=("-movflags", "+faststart")).make(source_folder)
    data = original.read_bytes()
    for fraction in (0.3, 0.9):
        path = tmp_path / f"{fraction}.mp4"
        path.write_bytes(data[: int(len(data) * fraction)])
        with range_server(tmp_path) as address:
            done = await transcode(f"{address}/{path.name}")
        assert 0 < done.frames < 500
        check_tracks(done, tmp_path)


async def test_initialisation_segments_and_codecs_agree_between_pieces(source_folder):
    source, plan, tasks = await planned(MP4.make(source_folder))
    results = [
        await encode_piece(PieceJob(source=source, plan=plan, piece=task.piece), Collector())
        for task in tasks
        if task.piece
    ]
    for before, after in pairwise(result.tracks["90p"] for result in results):
        assert (before.init_sha256, before.codec) == (after.init_sha256, after.codec)


async def test_a_piece_made_twice_has_the_same_bytes(source_folder):
    job = await job_for_last_piece(source_folder)
    first, second = Collector(), Collector()
    await encode_piece(job, first)
    await encode_piece(job, second)
    assert first == second


async def test_a_seek_that_lands_too_late_is_noticed_and_the_next_one_taken(source_folder):
    right = await job_for_last_piece(source_folder)
    wrong = await job_for_last_piece(source_folder, seeks_s=(16.0, *right.piece.seeks_s))
    expected, collected = Collector(), Collector()
    assert await encode_piece(wrong, collected) == await encode_piece(right, expected)
    assert collected == expected


async def test_a_piece_that_never_fits_is_given_up_and_nothing_of_it_passed_on(source_folder):
    job = await job_for_last_piece(source_folder, seeks_s=(16.0, 17.0))
    collected = Collector()
    with pytest.raises(UnfitPieceError):
        await encode_piece(job, collected)
    assert not collected.segments


async def test_a_piece_with_frames_missing_at_its_end_is_given_up(source_folder):
    job = await job_for_last_piece(source_folder, end_frame=700, segments=4)
    collected = Collector()  # which insists that the second attempt hands nothing on again
    with pytest.raises(UnfitPieceError):
        await encode_piece(job, collected)


async def test_a_piece_whose_decoder_configuration_differs_from_the_others_is_given_up(source_folder):
    job = await job_for_last_piece(source_folder)
    other = PieceJob(source=job.source, plan=job.plan, piece=job.piece, init_sha256={"90p": "0" * 64})
    with pytest.raises(UnfitPieceError):
        await encode_piece(other, Collector())


async def test_the_last_piece_may_be_shorter_than_planned(source_folder):
    job = await job_for_last_piece(source_folder)
    encoded = await encode_piece(longer_than_its_source(job), Collector())
    assert job.piece.first_frame + encoded.frames == job.plan.frames


async def test_a_shorter_piece_that_fails_from_another_seek_point_is_given_up(source_folder):
    job = longer_than_its_source(await job_for_last_piece(source_folder))
    piece = job.piece.model_copy(update={"seeks_s": (job.piece.seeks_s[0], 16.0)})
    with pytest.raises(UnfitPieceError):
        await encode_piece(replace(job, piece=piece), Collector())


async def test_a_last_piece_with_a_few_frames_missing_is_tried_from_the_next_seek_point(source_folder):
    job = longer_than_its_source(await job_for_last_piece(source_folder), frames=5)
    piece = job.piece.model_copy(update={"seeks_s": (job.piece.seeks_s[0], 16.0)})
    with pytest.raises(UnfitPieceError):
        await encode_piece(replace(job, piece=piece), Collector())


async def test_a_video_that_ends_earlier_than_planned_is_taken_as_a_single_piece(source_folder):
    source, plan, _ = await planned(MP4.make(source_folder))
    job = longer_than_its_source(PieceJob(source=source, plan=plan, piece=whole(plan)))
    assert (await encode_piece(job, Collector())).frames == plan.frames


class Completing(Collector):
    """A sink that puts the whole of a source in the place of its beginning, as soon as that is read."""

    def __init__(self, part: Path, source: Path) -> None:
        super().__init__()
        self._part = part
        self._source = source

    async def init(self, track: str, data: bytes) -> None:
        await super().init(track, data)
        if self._source.exists():
            self._source.replace(self._part)


async def test_a_single_piece_that_is_longer_when_it_is_made_again_is_given_up(source_folder, tmp_path):
    original = Recipe(name="growing", muxer=("-f", "matroska")).make(source_folder)
    source, plan, _ = await planned(original)
    part, all_of_it = tmp_path / "part", tmp_path / "all"
    data = original.read_bytes()
    all_of_it.write_bytes(data)
    part.write_bytes(data[: len(data) // 2])
    job = PieceJob(source=replace(source, location=str(part)), plan=plan, piece=whole(plan))
    with pytest.raises(UnfitPieceError):
        await encode_piece(job, Completing(part, all_of_it))


async def test_a_long_piece_may_take_longer(source_folder):
    source, plan, _ = await planned(MP4.make(source_folder))
    a_day = plan.model_copy(update={"frames": 24 * 3600 * 25})
    hurried = Limits(wall_s=0.05)
    with pytest.raises(TransientJobError, match="ran longer"):
        await encode_piece(PieceJob(source=source, plan=plan, piece=whole(plan)), Collector(), limits=hurried)
    job = PieceJob(source=source, plan=a_day, piece=whole(a_day))
    assert (await encode_piece(job, Collector(), limits=hurried)).frames == plan.frames


async def test_the_account_of_a_piece_adds_up(source_folder):
    job = await job_for_last_piece(source_folder)
    collected = Collector()
    encoded = await encode_piece(job, collected)
    result = encoded.tracks["90p"]
    sizes = [len(data) for data in collected.segments.values()]
    assert encoded == Encoded(frames=200, tracks={"90p": result})
    assert result.segments == 2
    assert result.size_bytes == sum(sizes)
    assert result.peak_bitrate == max(sizes) * 8 // 4
    assert result.codec.startswith("avc1.64")


class Blocked(Collector):
    """A sink that never gets done with its first segment."""

    async def segment(self, track: str, number: int, data: bytes) -> None:
        await super().segment(track, number, data)
        await asyncio.Event().wait()


async def test_segments_are_handed_on_while_ffmpeg_runs_and_a_slow_sink_holds_it_back(source_folder):
    big = Recipe(name="big", size="1280x720", rate="50", duration_s=10).make(source_folder)
    source, plan, _ = await planned(big)
    piece = whole(plan).model_copy(update={"renditions": (plan.renditions[-1].name,)})
    sink = Blocked()
    task = asyncio.create_task(encode_piece(PieceJob(source=source, plan=plan, piece=piece), sink))
    await eventually(lambda: sink.segments, deadline_s=60, what="first segment")
    (pid,) = children("ffmpeg")
    assert alive(pid)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pid)
    assert len(sink.segments) == 1
