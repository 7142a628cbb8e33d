from __future__ import annotations

import pytest

from services.shared.video import Rational
from services.transcoder.ladder import ladder, max_bitrate

FPS = Rational(num=25, den=1)


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
