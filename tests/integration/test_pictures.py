from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.shared.errors import PermanentJobError
from services.transcoder.command import Input
from services.transcoder.pictures import make_poster, split_jpegs
from tests.harness.media import planned, run
from tests.harness.sources import BIG_BUCK_BUNNY, Recipe, x264


def described(path: Path) -> dict[str, Any]:
    entries = ["-show_entries", "stream=codec_name,width,height", "-of", "json"]
    (stream,) = json.loads(run(["ffprobe", "-v", "error", *entries, str(path)]))["streams"]
    return dict(stream)


def brightness(path: Path) -> float:
    pixels = run(["ffmpeg", "-v", "error", "-i", str(path), "-vf", "format=gray", "-f", "rawvideo", "-"])
    return sum(pixels) / len(pixels)


async def test_the_poster_is_a_jpeg_of_moderate_size(tmp_path):
    source, plan, _ = await planned(BIG_BUCK_BUNNY)
    path = tmp_path / "poster.jpg"
    path.write_bytes(await make_poster(source, plan))
    assert described(path) == {"codec_name": "mjpeg", "width": 854, "height": 480}


async def test_a_video_that_begins_in_black_is_not_represented_by_black(source_folder, tmp_path):
    recipe = Recipe(name="from_black", duration_s=8, filters="fade=in:start_time=5:duration=1")
    source, plan, _ = await planned(recipe.make(source_folder))
    path = tmp_path / "poster.jpg"
    path.write_bytes(await make_poster(source, plan))
    assert brightness(path) > 80


@pytest.mark.parametrize("gop", [25, 250])
async def test_the_poster_is_found_whether_key_frames_are_many_or_few(source_folder, tmp_path, gop):
    recipe = Recipe(
        name=f"bright_later_{gop}",
        duration_s=12,
        filters="fade=in:start_time=6:duration=1",
        video=x264("-g", str(gop)),
    )
    source, plan, _ = await planned(recipe.make(source_folder))
    path = tmp_path / "poster.jpg"
    path.write_bytes(await make_poster(source, plan))
    assert brightness(path) > 80


async def test_a_video_of_one_frame_has_a_poster(source_folder, tmp_path):
    source, plan, _ = await planned(Recipe(name="one_frame", duration_s=0.04).make(source_folder))
    path = tmp_path / "poster.jpg"
    path.write_bytes(await make_poster(source, plan))
    assert described(path)["width"] == 160


async def test_no_picture_at_all_is_a_lasting_fault(source_folder, tmp_path):
    _, plan, _ = await planned(Recipe(name="one_frame", duration_s=0.04).make(source_folder))
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(PermanentJobError, match="No picture"):
        await make_poster(Input(location=str(tmp_path / "text.mp4")), plan)


def test_jpegs_in_a_row_are_told_apart():
    one, two = b"\xff\xd8one\xff\xd9", b"\xff\xd8two\xff\xd9"
    assert split_jpegs(one + two) == [one, two]
    assert split_jpegs(b"") == []
