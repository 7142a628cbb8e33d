"""Every kind of source comes out as one process would show it, with sound and picture together."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from services.shared.errors import PermanentJobError
from services.transcoder.command import Input
from services.transcoder.encode import PieceJob, encode_piece
from services.transcoder.ladder import Ladder, Rungs
from services.transcoder.probe import inspect, probe
from services.transcoder.remux import remux
from tests.harness.broadcasts import without_a_sound_header, without_a_time
from tests.harness.clapper import Shown, beeps_s, film, flashes_s, pitches_hz, shown_in
from tests.harness.kinds import KINDS, Kind
from tests.harness.media import Collector, Transcoded, planned, transcode, whole
from tests.harness.pieces import check_pictures, check_tracks
from tests.harness.range_server import range_server
from tests.harness.sources import BIKES, VTEST, ffmpeg, x264

FOOTAGE: Final = (
    VTEST,
    *(VTEST.with_name(name) for name in ("Megamind.avi", "Megamind_bugy.avi", "tree.avi")),
    *(BIKES.with_name(name) for name in ("bigbuckbunny.mp4", "carphone_pristine.mp4")),
)
"""From cameras and old programs: MPEG-4 with packed pictures and a broken index, Cinepak, H.264."""

SMALL: Final = Ladder(codec=(Rungs(profile="h264", lines=(120,)),))
"""For footage: what matters is how it is read."""


async def cuttable(path: Path, folder: Path) -> Path:
    """The source in a form in which pieces can be cut from it."""
    source = Input(location=str(path))
    header = (await inspect(source)).header
    if header.seekable:
        return path
    remuxed = folder / "remuxed.mkv"
    await remux(source, header, remuxed, max_bytes=1 << 30)
    return remuxed


def check_sound(done: Transcoded, kind: Kind, shown: list[Shown], folder: Path) -> None:
    """It claps when it should, and is seen and heard to do so at the same time."""
    fps = float(done.plan.fps)
    seen_s = flashes_s(shown, fps=fps)
    assert seen_s == pytest.approx(kind.claps_s, abs=1 / fps)
    for track in done.plan.audio:
        heard_s = beeps_s(done.collector.write(track.name, folder / f"{track.name}.mp4"))
        assert heard_s == pytest.approx(seen_s, abs=kind.apart_s)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_source_comes_out_right(kind: Kind, source_folder, tmp_path):
    made = kind.make(source_folder)
    path = await cuttable(made, tmp_path)
    assert (path != made) == kind.remuxed
    counted = (await inspect(Input(location=str(made)))).header.counted
    assert counted == kind.counted
    done = await transcode(path, counted=counted)
    check_tracks(done, tmp_path)
    check_pictures(done, lost=kind.lost)
    top = done.plan.renditions[-1]
    shown = shown_in(tmp_path / f"{top.name}.mp4")
    assert [picture.number for picture in shown] == list(kind.numbers)
    assert (top.width, top.height) == kind.shape
    assert (done.plan.fps.num, done.plan.fps.den) == kind.fps.as_integer_ratio()
    if not (kind.stills or kind.lost or kind.counted):
        assert shown_in(path, before=f"fps={kind.fps}") == shown
    check_sound(done, kind, shown, tmp_path)


def damaged(path: Path, folder: Path, *, at: Sequence[float], size: int) -> Path:
    """The film with noise in its pictures and sound, at some fractions of its length."""
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    noise = random.Random(1)
    for fraction in at:
        place = start + int((end - start) * fraction)
        data[place : place + size] = noise.randbytes(size)
    hurt = folder / "damaged.mp4"
    hurt.write_bytes(data)
    return hurt


async def test_a_damaged_film_is_shown_in_full_with_what_can_be_saved(source_folder, tmp_path):
    groups_of_a_second = film("second_groups", video=x264("-g", "25")).make(source_folder)
    path = damaged(groups_of_a_second, tmp_path, at=(0.3, 0.6), size=2000)
    done = await transcode(path)
    assert done.frames == 225
    check_tracks(done, tmp_path)
    shown = shown_in(tmp_path / "96p.mp4")
    right = [picture.number == number for number, picture in enumerate(shown)]
    assert all(right[:25])
    assert sum(right) >= 225 - 4 * 25


async def test_where_most_of_a_film_is_noise_the_rest_is_still_shown(source_folder, tmp_path):
    groups_of_a_second = film("second_groups", video=x264("-g", "25")).make(source_folder)
    path = damaged(groups_of_a_second, tmp_path, at=(0.25,), size=groups_of_a_second.stat().st_size // 2)
    source, plan, _ = await planned(path)
    collector = Collector()
    encoded = await encode_piece(PieceJob(source=source, plan=plan, piece=whole(plan)), collector)
    assert encoded.frames == 225


@pytest.mark.parametrize("damage", [without_a_sound_header, without_a_time])
async def test_one_damaged_packet_of_a_broadcast_costs_no_more_than_itself(
    damage: Callable[[Path, Path], None], source_folder, tmp_path
):
    hurt = tmp_path / "hurt.ts"
    damage(film("h264", suffix="ts").make(source_folder), hurt)
    done = await transcode(await cuttable(hurt, tmp_path))
    check_tracks(done, tmp_path)
    shown = shown_in(tmp_path / "96p.mp4")
    right = [picture.number == number for number, picture in enumerate(shown)]
    assert len(right) == 225
    assert sum(right) >= 225 - 3
    heard_s = beeps_s(done.collector.write("a0", tmp_path / "a0.mp4"))
    assert heard_s == pytest.approx(flashes_s(shown, fps=25), abs=0.03)


async def test_sound_keeps_its_pitch_where_its_rate_changes(source_folder, tmp_path):
    kind = next(kind for kind in KINDS if kind.name == "new_rate")
    done = await transcode(await cuttable(kind.make(source_folder), tmp_path))
    path = done.collector.write("a0", tmp_path / "a0.mp4")
    assert pitches_hz(path) == pytest.approx([1000] * len(kind.claps_s), rel=0.02)


async def test_fields_that_are_woven_only_later_on_are_noticed(source_folder, tmp_path):
    kind = next(kind for kind in KINDS if kind.name == "interlaced_later")
    source = Input(location=str(await cuttable(kind.make(source_folder), tmp_path)))
    assert not (await inspect(source)).look.interlaced
    assert (await probe(source)).video.look.interlaced


async def test_a_broadcast_whose_sound_would_become_too_large_is_no_worse_off(source_folder, tmp_path):
    hurt, remuxed = tmp_path / "hurt.ts", tmp_path / "remuxed.mkv"
    noisy = film("noise", suffix="ts", sound="anoisesrc=amplitude=0.5").make(source_folder)
    without_a_sound_header(noisy, hurt)
    source = Input(location=str(hurt))
    await remux(source, (await inspect(source)).header, remuxed, max_bytes=hurt.stat().st_size)
    assert (await probe(Input(location=str(remuxed)))).audio[0].codec == "aac"


async def test_what_a_look_finds_to_be_a_video_is_not_called_none_when_it_resists(source_folder, tmp_path):
    source = Input(location=str(film("h264", suffix="ts").make(source_folder)))
    header = (await inspect(source)).header
    with pytest.raises(PermanentJobError):
        await remux(source, header, tmp_path / "remuxed.mkv", max_bytes=1000)


@pytest.mark.parametrize("fraction", [0.3, 0.9])
async def test_a_film_that_breaks_off_comes_out_as_far_as_it_goes(fraction: float, source_folder, tmp_path):
    whole_film = film("index_first", muxer=("-movflags", "+faststart")).make(source_folder).read_bytes()
    path = tmp_path / "broken_off.mp4"
    path.write_bytes(whole_film[: int(len(whole_film) * fraction)])
    with range_server(tmp_path) as address:
        done = await transcode(f"{address}/{path.name}")
    assert done.plan.tail_frames == 0
    check_tracks(done, tmp_path)
    shown = shown_in(tmp_path / "96p.mp4")
    assert 0.2 * fraction < len(shown) / 225 < fraction + 0.1
    # Of the last pictures, some lean on others that are missing.
    assert [picture.number for picture in shown[:-3]] == list(range(len(shown) - 3))


@pytest.mark.skipif(not VTEST.exists(), reason="needs Debian's opencv-doc")
@pytest.mark.parametrize("path", FOOTAGE, ids=lambda path: path.name)
async def test_what_cameras_and_old_programs_made_comes_out_as_one_process_shows_it(path: Path, tmp_path):
    clip = tmp_path / f"clip{path.suffix}"
    ffmpeg("-i", str(path), "-map", "0:V:0", "-map", "0:a?", "-c", "copy", "-t", "8", str(clip))
    path = await cuttable(clip, tmp_path)
    done = await transcode(path, SMALL)
    check_tracks(done, tmp_path)
    check_pictures(done)
    rate = f"fps={done.plan.fps.num}/{done.plan.fps.den}"
    assert abs(done.frames - len(shown_in(path, before=rate))) <= 1
