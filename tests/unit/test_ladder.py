from __future__ import annotations

import pytest

from services.shared.errors import InvalidRequestError, PermanentJobError
from services.shared.plan import Rational
from services.shared.tracks import Rendition
from services.transcoder.ladder import H264, Ladder, ladder_of, max_bitrate, parse_ladder
from services.transcoder.ladders import load_ladder

FPS = Rational(num=25, den=1)
MIXED = """
[[codec]]
profile = "h264"
lines = [360, 720, 1080]
bitrate = 4_000_000
quality = 24
preset = "fast"

[[codec]]
profile = "av1"
lines = [720, 1080, 2160]
"""


def ladder(*, width: int, height: int, fps: Rational, of: Ladder = H264) -> tuple[Rendition, ...]:
    return of.renditions(width=width, height=height, fps=fps)


def names(width: int, height: int) -> list[str]:
    return [rendition.name for rendition in ladder(width=width, height=height, fps=FPS)]


def sizes(width: int, height: int) -> list[tuple[int, int]]:
    return [(rendition.width, rendition.height) for rendition in ladder(width=width, height=height, fps=FPS)]


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1920, 1080, ["240p", "360p", "480p", "720p", "1080p"]),
        (1280, 720, ["240p", "360p", "480p", "720p"]),
        (640, 360, ["240p", "360p"]),
        (3840, 2160, ["240p", "360p", "480p", "720p", "1080p", "1440p", "2160p"]),
        (720, 576, ["240p", "360p", "576p"]),
        (640, 272, ["272p"]),
        (176, 144, ["144p"]),
    ],
)
def test_the_ladder_has_the_standard_sizes_below_the_sources_own(width, height, expected):
    assert names(width, height) == expected


def test_a_portrait_video_gets_the_same_rungs_turned():
    assert names(1080, 1920) == names(1920, 1080)
    assert sizes(1080, 1920) == [(height, width) for width, height in sizes(1920, 1080)]


def test_an_8k_source_is_encoded_in_at_most_2160_lines():
    assert sizes(7680, 4320)[-1] == (3840, 2160)


def test_odd_sizes_become_even_without_growing():
    assert sizes(1281, 721)[-1] == (1280, 720)


def test_bitrate_caps_grow_with_size_and_frame_rate():
    assert max_bitrate(1920, 1080, FPS) == 5_000_000
    assert max_bitrate(1280, 720, FPS) < 3_000_000
    assert max_bitrate(1920, 1080, Rational(num=60, den=1)) == 7_071_000
    assert max_bitrate(16, 16, FPS) == 100_000


def test_of_h264_the_level_is_planned_and_never_one_below_1_1():
    levels = [rung.encoding.level for rung in ladder(width=1920, height=1080, fps=FPS)]
    assert levels == ["2.1", "3", "3", "3.1", "4"]
    assert [rung.encoding.level for rung in ladder(width=160, height=96, fps=Rational(num=10, den=1))] == [
        "1.1"
    ]
    assert {
        rung.encoding.level for rung in ladder(width=640, height=360, fps=FPS, of=ladder_of(("av1",)))
    } == {""}


def test_several_codecs_stand_side_by_side_from_the_lowest_rung_to_the_highest():
    rungs = ladder(width=1920, height=1080, fps=FPS, of=ladder_of(("h264", "vp9")))
    assert [rung.name for rung in rungs[:4]] == ["240p", "240p-vp9", "360p", "360p-vp9"]
    assert [rung.encoding.profile for rung in rungs[-2:]] == ["h264", "vp9"]
    assert rungs[-1].bitrate == 0.75 * rungs[-2].bitrate


def test_a_ladder_file_says_sizes_rates_and_effort_of_each_codec():
    rungs = ladder(width=1920, height=1080, fps=FPS, of=parse_ladder(MIXED))
    assert [rung.name for rung in rungs] == ["360p", "720p", "720p-av1", "1080p", "1080p-av1"]
    h264, av1 = rungs[-2:]
    assert (h264.bitrate, av1.bitrate) == (4_000_000, 3_000_000)
    assert (h264.encoding.profile, h264.encoding.preset, h264.encoding.quality) == ("h264", "fast", 24)
    assert (av1.encoding.profile, av1.encoding.preset, av1.encoding.quality) == ("av1", "10", 38)


def test_only_the_first_codec_takes_sources_below_its_lowest_rung():
    assert [r.name for r in ladder(width=426, height=240, fps=FPS, of=parse_ladder(MIXED))] == ["240p"]


def test_a_codec_that_cannot_encode_small_pictures_leaves_them_to_the_others_or_refuses():
    both = ladder(width=96, height=54, fps=FPS, of=ladder_of(("h264", "av1")))
    assert [rung.name for rung in both] == ["54p"]
    with pytest.raises(PermanentJobError, match="96 by 54 pixels is too small for av1"):
        ladder(width=96, height=54, fps=FPS, of=ladder_of(("av1",)))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("codec = [", "not TOML"),
        ("", "codec: Field required"),
        ("codec = []", "at least 1 item"),
        ('[[codec]]\nprofile = "divx"', "no codec profile 'divx'; there are h264, hevc"),
        ('[[codec]]\nprofile = "h264"\nheight = 3', "codec.0.height: Extra inputs"),
        (
            '[[codec]]\nprofile = "h264"\nlines = [720, 360]',
            "codec.0.lines: sizes must be above 1 and ascend",
        ),
        ('[[codec]]\nprofile = "av1"\npreset = "fast"', "av1 has no preset 'fast'; it has 13, 12"),
        ('[[codec]]\nprofile = "av1"\nlines = [32, 720]', "codec.0: av1 has no sizes below 64"),
        ('[[codec]]\nprofile = "h264"\nlines = [2, 4]', "codec.0: h264 has no sizes below 16"),
        ('[[codec]]\nprofile = "h264"\nlines = [241]', "codec.0.lines: sizes must be even"),
        ('[[codec]]\nprofile = "h264"\nlines = ["360"]', "codec.0.lines.0: Input should be a valid integer"),
        ('[[codec]]\nprofile = "h264"\nquality = 60', "codec.0: h264 has no quality beyond 51"),
        ('[[codec]]\nprofile = "vp9"\nquality = 64', "codec.0: vp9 has no quality beyond 63"),
        ('[[codec]]\nprofile = "h264"\nquality = true', "codec.0.quality: Input should be a valid integer"),
        ('[[codec]]\nprofile = "h264"\nbitrate = 100_000_001', "codec.0.bitrate: .* equal to 100000000"),
        ('per_title = 1\n[[codec]]\nprofile = "h264"', "per_title: Input should be a valid boolean"),
        ('[[codec]]\nprofile = "h264"\n[[codec]]\nprofile = "h264_qsv"', "each kind of codec may occur once"),
        (
            '[[codec]]\nprofile = "h264"\nlines = [720]\n[[codec]]\nprofile = "av1"',
            "no codec may have a lower rung than the first one",
        ),
    ],
)
def test_what_is_no_ladder_is_refused_with_the_place_and_the_reason(text, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        parse_ladder(text)


def test_only_what_is_wrong_is_complained_of():
    with pytest.raises(InvalidRequestError) as caught:
        parse_ladder('[[codec]]\nprofile = "divx"')
    assert "at least 1 item" not in str(caught.value)


def test_a_setting_names_profiles_or_a_file(tmp_path):
    assert load_ladder("h264") == H264
    assert load_ladder("h264, av1").profiles == ("h264", "av1")
    path = tmp_path / "mixed.toml"
    path.write_text(MIXED)
    assert load_ladder(str(path)) == parse_ladder(MIXED)


@pytest.mark.parametrize(
    ("choice", "complaint"), [("h264,divx", "no codec profile 'divx'"), ("/none.toml", "No such file")]
)
def test_a_setting_that_names_no_ladder_is_quoted(choice, complaint):
    with pytest.raises(InvalidRequestError, match=f"The ladder '{choice}' cannot be used: .*{complaint}"):
        load_ladder(choice)
