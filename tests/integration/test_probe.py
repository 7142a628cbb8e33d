from __future__ import annotations

from pathlib import Path

import pytest

from services.shared.errors import UnsupportedMediaError
from services.transcoder.command import Input
from services.transcoder.probe import inspect, probe
from services.transcoder.streams import Bounds
from tests.harness.range_server import range_server
from tests.harness.sources import BIG_BUCK_BUNNY, VTEST, Recipe, ffmpeg, x264

SHORT = Recipe(name="probe_short", duration_s=2)


async def probed(path: Path, **options):
    return await probe(Input(location=str(path)), **options)


async def refusal(path: Path, **options) -> str:
    with pytest.raises(UnsupportedMediaError) as caught:
        await probed(path, **options)
    return str(caught.value)


async def test_a_video_with_sound_is_described(source_folder):
    recipe = Recipe(name="described", duration_s=2, sound="sine", rate="30000/1001")
    info = await probed(recipe.make(source_folder))
    assert (info.video.codec, info.video.width, info.video.height) == ("h264", 160, 90)
    assert (info.video.packets, info.video.start) == (60, 0)
    assert info.video.end == 60 * info.video.typical_gap
    assert [(audio.index, audio.codec, audio.language) for audio in info.audio] == [(0, "aac", "und")]
    assert "mov" in info.format_name


async def test_a_rotated_video_is_described_as_it_is_shown(source_folder):
    recipe = Recipe(
        name="probe_rotated", duration_s=2, copy_before=(), copy_after=("-metadata:s:v", "rotate=90")
    )
    info = await probed(recipe.make(source_folder))
    assert (info.video.width, info.video.height) == (90, 160)


async def test_an_anamorphic_video_is_described_with_square_pixels(source_folder):
    recipe = Recipe(name="probe_anamorphic", duration_s=2, size="120x90", filters="setsar=16/9")
    info = await probed(recipe.make(source_folder))
    assert (info.video.width, info.video.height) == (213, 90)


async def test_languages_are_told(source_folder, tmp_path):
    path = tmp_path / "languages.mkv"
    sound = ("-f", "lavfi", "-i", "sine=duration=2")
    mapped = ("-map", "0", "-map", "1", "-map", "2", "-c:v", "copy")
    tags = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu")
    ffmpeg("-i", str(SHORT.make(source_folder)), *sound, *sound, *mapped, *tags, str(path))
    info = await probed(path)
    assert [(audio.index, audio.language) for audio in info.audio] == [(0, "en"), (1, "de")]


async def test_a_cover_picture_is_not_the_video(source_folder, tmp_path):
    cover, song, film = tmp_path / "cover.png", tmp_path / "song.m4a", tmp_path / "film.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x64", "-frames:v", "1", str(cover))
    attached = ("-map", "0", "-map", "1", "-c:v:1", "png", "-disposition:v:1", "attached_pic")
    ffmpeg("-i", str(SHORT.make(source_folder)), "-i", str(cover), *attached, str(film))
    assert (await probed(film)).video.codec == "h264"
    picture = ("-map", "0", "-map", "1", "-c:v", "png", "-disposition:v:0", "attached_pic")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=2", "-i", str(cover), *picture, str(song))
    assert await refusal(song) == "The file has sound, but no video."


async def test_frames_that_an_edit_list_hides_do_not_move_the_beginning(source_folder):
    recipe = Recipe(name="probe_edit", duration_s=8, copy_before=("-ss", "3.3"))
    info = await probed(recipe.make(source_folder))
    assert info.video.start == 0
    assert info.video.key_frames[0].pts < 0
    assert 117 <= info.video.packets <= 118


async def test_real_footage_is_described_over_http():
    with range_server(BIG_BUCK_BUNNY.parent) as address:
        info = await probe(Input(location=f"{address}/{BIG_BUCK_BUNNY.name}"))
    assert (info.video.width, info.video.height, info.video.packets) == (1280, 720, 132)
    assert info.audio[0].channels == 6


@pytest.mark.skipif(not VTEST.exists(), reason="needs Debian's opencv-doc")
async def test_an_avi_has_to_be_remuxed():
    assert (await probed(VTEST)).video.packets == 795
    assert not (await inspect(Input(location=str(VTEST)))).header.seekable


@pytest.mark.parametrize(
    "content",
    [b"", b"This is a text, and not a video.\n" * 50, bytes(range(256)) * 40],
    ids=["empty", "text", "noise"],
)
async def test_what_is_no_video_is_refused(content, tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(content)
    assert "not a video file" in await refusal(path)


async def test_a_video_cut_off_before_its_index_is_refused(source_folder, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(SHORT.make(source_folder).read_bytes()[:5000])
    assert "not a video file" in await refusal(path)


async def test_sound_alone_is_refused(tmp_path):
    path = tmp_path / "song.m4a"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=2", str(path))
    assert await refusal(path) == "The file has sound, but no video."


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\n{victim}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {victim}\n",
    ],
    ids=["hls", "concat"],
)
async def test_a_list_of_other_files_is_refused_and_they_are_not_read(playlist, source_folder, tmp_path):
    victim = SHORT.make(source_folder)
    path = tmp_path / "video.mp4"
    path.write_text(playlist.format(victim=victim))
    assert "not accepted" in await refusal(path)


async def test_pictures_that_cannot_be_decoded_are_refused(source_folder, tmp_path):
    data = bytearray(SHORT.make(source_folder).read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    path = tmp_path / "undecodable.mp4"
    path.write_bytes(data)
    assert "can be decoded" in await refusal(path)


async def test_hours_claimed_by_a_handful_of_pictures_are_refused(tmp_path):
    path = tmp_path / "bomb.mkv"
    leap = "setpts='if(eq(N,5),20*3600/TB,N/25/TB)'"
    video = (*x264("-frames:v", "6"), "-fps_mode", "passthrough")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-vf", leap, *video, str(path))
    assert "claims to last" in await refusal(path)
    assert "claims to last" in await refusal(path, bounds=Bounds(duration_s=30 * 3600))


async def test_what_exceeds_the_bounds_is_refused(source_folder):
    path = SHORT.make(source_folder)
    assert "too large" in await refusal(path, bounds=Bounds(pixels=160 * 90 - 1))
    assert "1 streams; 0 are allowed" in await refusal(path, bounds=Bounds(streams=0))
    assert "more than 49 frames" in await refusal(path, bounds=Bounds(packets=49))
    assert "hours" in await refusal(path, bounds=Bounds(duration_s=1.5))


async def test_a_picture_stretched_beyond_all_bounds_is_refused(source_folder):
    wide = Recipe(name="stretched", duration_s=1, filters="setsar=50/1")
    thin = Recipe(name="squeezed", duration_s=1, filters="setsar=1/60")
    assert "too large" in await refusal(wide.make(source_folder), bounds=Bounds(pixels=10 * 160 * 90))
    assert "too small" in await refusal(thin.make(source_folder))


async def test_a_picture_too_small_to_encode_is_refused(source_folder):
    recipe = Recipe(name="tiny", size="8x8", duration_s=1, video=("-c:v", "mjpeg"), suffix="mov")
    assert "too small" in await refusal(recipe.make(source_folder))


async def test_an_encrypted_video_is_refused_as_such(source_folder, tmp_path):
    path = tmp_path / "protected.mp4"
    keys = (
        "-encryption_key",
        "76a6c65c5ea762046bd749a2e632ccbb",
        "-encryption_kid",
        "a7e61c373e219033c21091fa607bf3b8",
    )
    ffmpeg(
        "-i",
        str(SHORT.make(source_folder)),
        "-c",
        "copy",
        "-encryption_scheme",
        "cenc-aes-ctr",
        *keys,
        str(path),
    )
    assert "encrypted" in await refusal(path)


async def test_sound_that_a_header_claims_is_believed_only_if_it_is_there(source_folder, tmp_path):
    whole = Recipe(name="promises", duration_s=12, sound="sine", muxer=("-movflags", "+faststart")).make(
        source_folder
    )
    path = tmp_path / "broken_off.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    info = await probed(path)
    assert info.video.end_s < 10
    assert info.sound is not None
    assert info.sound.end_s < info.video.end_s + 0.5


async def test_a_recording_that_begins_between_key_frames_is_looked_at_further_on(source_folder, tmp_path):
    whole = Recipe(name="off_the_air", suffix="ts", duration_s=8, video=x264("-g", "100")).make(source_folder)
    path = tmp_path / "begun_late.ts"
    path.write_bytes(whole.read_bytes()[whole.stat().st_size // 16 // 188 * 188 :])
    assert (await probed(path)).video.packets > 100
