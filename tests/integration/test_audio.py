from __future__ import annotations

import os
import shutil
from array import array
from pathlib import Path

import pytest

from services.shared.errors import PermanentJobError, TransientJobError
from services.shared.tracks import AAC_FRAME_SAMPLES, AAC_FRAMES_PER_SEGMENT, AUDIO_RATE_HZ, AudioTrack
from services.transcoder.audio import encode_audio
from services.transcoder.process import Limits
from services.transcoder.sandbox import OPEN
from tests.harness.media import Collector, packets, planned, run
from tests.harness.sources import BIG_BUCK_BUNNY, Recipe, ffmpeg, x264

CLICK_S = 5.0
CLICK = f"aevalsrc='if(between(t,{CLICK_S},{CLICK_S}+0.1),0.8*sin(2*PI*1000*t),0)':s=44100"
SURROUND = f"{CLICK}|0|0|0|0|0".replace("':s=44100|0|0|0|0|0", "|0|0|0|0|0':s=48000:c=5.1")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "100k")
TOLERANCE_S = 0.01

TREMBLING = "gt(N,0)*2*(mod(N*37,11)-5)"
"""Milliseconds by which a packet is early or late: ten at most, and nothing on average."""


def retimed(name: str, times: str) -> Recipe:
    """A film whose sound has other times than its number of samples tells, in milliseconds."""
    setts = ("-bsf:a", f"setts=ts='{times}'")
    return Recipe(name=name, suffix="mkv", sound=CLICK, duration_s=12, copy_before=(), copy_after=setts)


def spread(channels: int) -> str:
    """The click in all of so many channels."""
    silence = "".join(f"[s{number}]" for number in range(channels))
    return f"{CLICK},asplit={channels}{silence};{silence}amerge=inputs={channels}"


SOURCES = {
    "unplaced": (
        Recipe(name="unplaced", suffix="mov", sound=spread(10), audio=("-c:a", "pcm_s16le"), duration_s=8),
        CLICK_S,
    ),
    "ambisonic": (
        Recipe(
            name="ambisonic",
            suffix="mkv",
            sound=spread(4),
            audio=("-c:a", "libopus", "-mapping_family", "2", "-ac", "4"),
            duration_s=8,
        ),
        CLICK_S,
    ),
    "plain": (Recipe(name="click", sound=CLICK, duration_s=12), CLICK_S),
    "mkv": (Recipe(name="click", suffix="mkv", sound=CLICK, duration_s=12), CLICK_S),
    "webm": (
        Recipe(
            name="click",
            suffix="webm",
            sound=CLICK,
            duration_s=8,
            video=VP9,
            audio=("-c:a", "libopus"),
        ),
        CLICK_S,
    ),
    "late": (Recipe(name="late", sound=CLICK, sound_offset_s=1.5, duration_s=12), CLICK_S + 1.5),
    "shorter": (Recipe(name="shorter", sound=f"{CLICK}:d=7", duration_s=12), CLICK_S),
    "not_from_zero": (
        Recipe(
            name="shifted",
            suffix="mkv",
            sound=CLICK,
            duration_s=12,
            copy_before=(),
            copy_after=("-output_ts_offset", "7.3"),
        ),
        CLICK_S,
    ),
    "edit_list": (
        Recipe(name="edited", sound=CLICK, duration_s=12, copy_before=("-ss", "3.3")),
        CLICK_S - 3.3,
    ),
    "surround": (Recipe(name="surround", sound=SURROUND, duration_s=8), CLICK_S),
    "gap": (
        Recipe(name="gap", sound=f"{CLICK},asetpts='PTS+gt(T,3)*0.08/TB'", duration_s=12),
        CLICK_S + 0.08,
    ),
    "packet_lost": (retimed("packet_lost", "TS+23*gt(TS,3000)"), CLICK_S + 0.023),
    "overlap": (retimed("overlap", "TS-18*gt(TS,3000)"), CLICK_S - 0.018),
    "drift": (retimed("drift", "TS*1.005"), CLICK_S * 1.005),
    "slow_drift": (retimed("slow_drift", "TS*0.998"), CLICK_S * 0.998),
    "gap_among_trembling": (retimed("gap_among_trembling", f"TS+80*gt(TS,3000)+{TREMBLING}"), CLICK_S + 0.08),
}


def samples_of(path: Path) -> array[int]:
    decoded = array("h")
    decoded.frombytes(run(["ffmpeg", "-v", "error", "-i", str(path), "-ac", "1", "-f", "s16le", "-"]))
    return decoded


def click_s(path: Path) -> float:
    """When the click is heard by a player that takes off the encoder's delay, as the edit list says."""
    loud = next(n for n, value in enumerate(samples_of(path)) if abs(value) > 3000)
    return (loud - AAC_FRAME_SAMPLES) / AUDIO_RATE_HZ


@pytest.mark.parametrize(("recipe", "expected_s"), SOURCES.values(), ids=SOURCES.keys())
async def test_sound_stays_with_the_picture_and_lasts_as_long(recipe, expected_s, source_folder, tmp_path):
    source, plan, _ = await planned(recipe.make(source_folder))
    collected = Collector()
    encoded = await encode_audio(source, plan, plan.audio[0], collected)
    path = collected.write("a0", tmp_path / "a0.mp4")
    assert abs(click_s(path) - expected_s) < TOLERANCE_S
    needed = round(plan.duration_s * AUDIO_RATE_HZ) + AAC_FRAME_SAMPLES
    assert encoded.frames == -(-needed // AAC_FRAME_SAMPLES)


async def test_sound_is_not_cut_for_times_that_only_tremble(source_folder):
    kept, trembling = Collector(), Collector()
    for times, collected in (("TS", kept), (f"TS+{TREMBLING}", trembling)):
        source, plan, _ = await planned(retimed("trembling", times).make(source_folder))
        await encode_audio(source, plan, plan.audio[0], collected)
    assert trembling.segments == kept.segments


async def test_segments_are_of_188_frames_and_without_a_gap(source_folder, tmp_path):
    source, plan, _ = await planned(SOURCES["plain"][0].make(source_folder))
    collected = Collector()
    encoded = await encode_audio(source, plan, plan.audio[0], collected)
    assert collected.numbers("a0") == [0, 1, 2]
    assert encoded.frames == 564
    assert encoded.tracks["a0"].segments == 3
    assert encoded.tracks["a0"].codec == "mp4a.40.2"
    assert encoded.tracks["a0"].size_bytes == sum(map(len, collected.segments.values()))
    assert 0 < encoded.tracks["a0"].peak_bitrate < 200_000
    second = tmp_path / "second.mp4"
    second.write_bytes(collected.inits["a0"] + collected.segments["a0", 1])
    assert packets(second)[0]["pts"] == AAC_FRAMES_PER_SEGMENT * AAC_FRAME_SAMPLES - AAC_FRAME_SAMPLES
    path = collected.write("a0", tmp_path / "a0.mp4")
    times = [packet["pts"] for packet in packets(path)]
    assert times == [(n - 1) * AAC_FRAME_SAMPLES for n in range(564)]


LEADING = 1
"""Of two to three segments. The encoder's bits are not spread evenly, so what comes after could matter."""


@pytest.mark.parametrize("recipe", [SOURCES[kind][0] for kind in ("plain", "webm", "late", "surround")])
async def test_what_is_made_in_advance_is_what_the_whole_track_begins_with(recipe, source_folder):
    source, plan, _ = await planned(recipe.make(source_folder))
    whole, leading = Collector(), Collector()
    await encode_audio(source, plan, plan.audio[0], whole)
    encoded = await encode_audio(source, plan, plan.audio[0], leading, leading=LEADING)
    assert encoded.tracks["a0"].segments == LEADING
    assert leading.numbers("a0") == [*range(LEADING)]
    assert leading.inits == whole.inits
    assert leading.segments.items() <= whole.segments.items()


async def test_real_surround_sound_becomes_stereo(tmp_path):
    source, plan, _ = await planned(BIG_BUCK_BUNNY)
    collected = Collector()
    await encode_audio(source, plan, plan.audio[0], collected)
    path = collected.write("a0", tmp_path / "a0.mp4")
    entries = ["-show_entries", "stream=channels,sample_rate", "-of", "csv=p=0"]
    assert run(["ffprobe", "-v", "error", *entries, str(path)]).decode().strip() == "48000,2"


async def test_a_stream_that_is_not_there_is_a_lasting_fault(source_folder):
    source, plan, _ = await planned(SOURCES["plain"][0].make(source_folder))
    missing = AudioTrack(index=3, duration_samples=48_000)
    with pytest.raises(PermanentJobError, match="sound"):
        await encode_audio(source, plan, missing, Collector())


def disobedient_ffmpeg(folder: Path, *, end_s: int) -> Path:
    """A folder with an ffmpeg that ends all sound at another time than it was told, and says all is well."""
    program = folder / "ffmpeg"
    real = shutil.which("ffmpeg")
    program.write_text(
        "#!/bin/bash\n"
        'arguments=()\nfor argument; do arguments+=("$(sed -E '
        f"'s/whole_dur=[0-9.]+,atrim=end=[0-9.]+/whole_dur={end_s},atrim=end={end_s}/'"
        ' <<<"$argument")"); done\n'
        f'exec {real} "${{arguments[@]}}"\n'
    )
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("end_s", "kept"), [(5, 1), (9, 2), (20, 2)], ids=["early", "in the end", "too long"]
)
async def test_sound_that_does_not_end_with_the_video_is_refused_and_its_end_never_stored(
    source_folder, tmp_path, monkeypatch, end_s: int, kept: int
):
    source, plan, _ = await planned(SOURCES["plain"][0].make(source_folder))
    monkeypatch.setenv("PATH", f"{disobedient_ffmpeg(tmp_path, end_s=end_s)}:{os.environ['PATH']}")
    refused, right = Collector(), Collector()
    limits = Limits(wall_s=60, sandbox=OPEN)  # it is a script, which starts other programs
    with pytest.raises(TransientJobError, match="sound"):
        await encode_audio(source, plan, plan.audio[0], refused, limits=limits)
    monkeypatch.undo()
    await encode_audio(source, plan, plan.audio[0], right)
    assert refused.numbers("a0") == [*range(kept)]
    assert refused.segments.items() <= right.segments.items()


def changing_channels(folder: Path, codec: str, channels: tuple[int, ...]) -> Path:
    """A film whose sound changes its number of channels every four seconds, with a click at 6 s."""
    parts = []
    for number, count in enumerate(channels):
        part = folder / f"{number}.{codec}"
        sound = f"aevalsrc='if(between(t+{4 * number},6,6.1),0.8*sin(2*PI*1000*t),0)':s=48000:d=4"
        ffmpeg("-f", "lavfi", "-i", sound, "-ac", str(count), "-c:a", codec, str(part))
        parts.append(part.read_bytes())
    sound_path = folder / f"sound.{codec}"
    sound_path.write_bytes(b"".join(parts))
    film = folder / "film.mkv"
    picture = f"testsrc2=size=160x90:rate=25:duration={4 * len(channels)}"
    ffmpeg("-f", "lavfi", "-i", picture, "-i", str(sound_path), *x264(), "-c:a", "copy", str(film))
    return film


@pytest.mark.parametrize(
    ("codec", "channels"),
    [("ac3", (2, 6, 2)), ("ac3", (6, 2, 6)), ("eac3", (2, 6, 2)), ("mp2", (1, 2, 1))],
    ids=["stereo first", "surround first", "e-ac-3", "mono first"],
)
async def test_sound_whose_number_of_channels_changes_stays_with_the_picture(codec, channels, tmp_path):
    source, plan, _ = await planned(changing_channels(tmp_path, codec, channels))
    collected = Collector()
    encoded = await encode_audio(source, plan, plan.audio[0], collected)
    assert encoded.frames == round(12 * AUDIO_RATE_HZ / AAC_FRAME_SAMPLES + 0.5) + 1
    expected_s = click_s(Path(source.location)) + AAC_FRAME_SAMPLES / AUDIO_RATE_HZ
    assert expected_s == pytest.approx(6.0, abs=0.05), "encoders have a delay of their own"
    assert abs(click_s(collected.write("a0", tmp_path / "a0.mp4")) - expected_s) < TOLERANCE_S
    leading = Collector()
    await encode_audio(source, plan, plan.audio[0], leading, leading=LEADING)
    assert leading.segments.items() <= collected.segments.items()


async def test_sound_that_is_decoded_by_a_process_of_its_own_and_cannot_be_is_told(tmp_path):
    source, plan, _ = await planned(changing_channels(tmp_path, "ac3", (2, 2)))
    missing = plan.audio[0].model_copy(update={"index": 7})
    with pytest.raises(PermanentJobError, match="could not be decoded") as caught:
        await encode_audio(source, plan, missing, Collector())
    assert "Stream map" in "\n".join(getattr(caught.value.__cause__, "__notes__", ()))
