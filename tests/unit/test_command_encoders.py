"""What encoders are told, by profile."""

from __future__ import annotations

import pytest

from services.shared.encoding import Encoding
from services.shared.plan import Plan, Rational
from services.shared.task import Piece
from services.shared.tracks import Rendition
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.ladder import Ladder, Rungs
from services.transcoder.profiles import PROFILES, Profile

SIZE = 100
WORDS = {
    "libx264": ("-x264-params", f"keyint={SIZE}:min-keyint={SIZE}:scenecut=0:open-gop=0"),
    "libx265": ("-x265-params", f"keyint={SIZE}:min-keyint={SIZE}:scenecut=0:open-gop=0"),
    "libvpx-vp9": ("-keyint_min", str(SIZE)),
    "libsvtav1": ("-svtav1-params", "lp=1:scd=0"),
    "h264_nvenc": ("-no-scenecut", "1"),
    "hevc_nvenc": ("-forced-idr", "1"),
    "h264_vaapi": ("-idr_interval", "0"),
    "hevc_vaapi": ("-idr_interval", "0"),
    "h264_qsv": ("-idr_interval", "0"),
    "hevc_qsv": ("-forced_idr", "1"),
}


def rendition(profile: Profile, **encoding: object) -> Rendition:
    chosen = Encoding(profile=profile.name, preset=profile.preset, quality=profile.quality)
    return Rendition(
        name=profile.name,
        width=640,
        height=360,
        bitrate=900_000,
        encoding=chosen.model_copy(update=encoding),
    )


def piece_of(*renditions: Rendition) -> list[str]:
    fps = Rational(num=25, den=1)
    plan = Plan(
        generation=0,
        time_base=Rational(num=1, den=12_800),
        start_ticks=0,
        fps=fps,
        frames=400,
        segment_frames=SIZE,
        timescale=12_800,
        renditions=renditions,
        input_format="mov",
        encoder="x",
    )
    names = tuple(r.name for r in renditions)
    piece = Piece(
        index=0,
        first_frame=0,
        end_frame=SIZE,
        first_segment=0,
        segments=1,
        renditions=names,
        seeks_s=(None,),
    )
    targets = {name: f"pipe:{number}" for number, name in enumerate(names, 7)}
    return command.piece(Input(location="/x.mp4"), plan, piece, seek_s=None, targets=targets)


def value(arguments: list[str], option: str) -> str:
    return arguments[arguments.index(option) + 1]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_every_encoder_is_told_where_key_frames_go_and_how_good_it_is_to_be(profile):
    arguments = piece_of(rendition(profile, quality=31))
    option, words = WORDS[profile.encoder]
    assert value(arguments, "-c:v") == profile.encoder
    assert value(arguments, option).startswith(words)
    assert "-g" not in arguments or value(arguments, "-g") == str(SIZE)
    assert "31" in arguments
    assert profile.preset in arguments
    assert any("900" in argument for argument in arguments)


def test_what_was_planned_before_there_was_a_choice_is_encoded_as_it_was():
    arguments = piece_of(Rendition(name="360p", width=640, height=360, bitrate=900_000))
    assert [value(arguments, option) for option in ("-c:v", "-preset", "-crf", "-maxrate", "-bufsize")] == [
        *("libx264", "veryfast", "23", "900000", "1350000")
    ]


def test_x264_is_told_the_level_that_was_planned():
    assert value(piece_of(rendition(PROFILES["h264"], level="3.1")), "-level") == "3.1"
    assert "-level" not in piece_of(rendition(PROFILES["h264"]))


def test_hevc_carries_the_tag_that_apple_asks_for():
    assert value(piece_of(rendition(PROFILES["hevc"])), "-tag:v") == "hvc1"
    assert value(piece_of(rendition(PROFILES["hevc_qsv"])), "-tag:v") == "hvc1"
    assert "-tag:v" not in piece_of(rendition(PROFILES["av1"]))


def test_pictures_are_uploaded_to_hardware_that_is_opened_before_the_source():
    arguments = piece_of(rendition(PROFILES["h264"]), rendition(PROFILES["hevc_vaapi"]))
    assert arguments.index("-vaapi_device") < arguments.index("-i")
    graph = value(arguments, "-filter_complex")
    assert "format=nv12" in graph
    assert graph.count("hwupload") == 1
    assert "-vaapi_device" not in piece_of(rendition(PROFILES["h264_qsv"]))


def test_several_codecs_come_from_one_decode():
    ladder = Ladder(codec=tuple(Rungs(profile=name) for name in ("h264", "vp9", "av1")))
    rungs = ladder.renditions(width=640, height=360, fps=Rational(num=25, den=1))
    arguments = piece_of(*rungs)
    assert arguments.count("-i") == 1
    assert [arguments.count(name) for name in ("libx264", "libvpx-vp9", "libsvtav1")] == [2, 2, 2]


def test_every_preset_a_profile_starts_with_is_one_that_it_has():
    assert all(profile.preset in profile.presets for profile in PROFILES.values())
