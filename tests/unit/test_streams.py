from __future__ import annotations

import math
from typing import Any

import pytest

from services.shared.errors import UnsupportedMediaError
from services.transcoder.source import Span
from services.transcoder.streams import Bounds, Header, lacks_size, read_header

VIDEO: dict[str, Any] = {"codec_type": "video", "codec_name": "h264", "width": 640, "height": 360}
SOUND: dict[str, Any] = {
    "codec_type": "audio",
    "codec_name": "aac",
    "channels": 2,
    "start_time": "0.000000",
    "duration": "10.0",
}
TEXT: dict[str, Any] = {"codec_type": "subtitle", "codec_name": "subrip"}
CONTAINER = {"format_name": "mov,mp4", "duration": "12.0", "start_time": "0.0"}


def header(*streams: dict[str, Any], programs: list[list[int]] | None = None, **container: str) -> Header:
    numbered = [{"index": place, **stream} for place, stream in enumerate(streams)]
    members = [{"streams": [{"index": place} for place in places]} for places in programs or []]
    described = {"streams": numbered, "programs": members, "format": CONTAINER | container}
    return read_header(described, Bounds())


def refusal(*streams: dict[str, Any]) -> str:
    with pytest.raises(UnsupportedMediaError) as caught:
        header(*streams)
    return str(caught.value)


def test_streams_are_known_by_their_place_and_sounds_by_their_number():
    cover = VIDEO | {"disposition": {"attached_pic": 1}}
    unknown = SOUND | {"codec_name": "unknown"}
    found = header(cover, SOUND, VIDEO, unknown, SOUND)
    assert found.places == (2, 1, 4)
    assert [sound.index for sound in found.audio] == [0, 2]


def test_a_cover_may_be_a_track_like_any_other_and_is_not_taken_for_the_video():
    default = {"disposition": {"default": 1}}
    found = header(VIDEO | {"codec_name": "png"} | default, SOUND, VIDEO, TEXT)
    assert found.places == (2, 1, 3)
    assert not found.seekable
    assert header(VIDEO | {"codec_name": "mjpeg"}, SOUND).seekable


def test_of_several_videos_the_one_is_shown_that_the_file_wants_to_have_shown():
    default = {"disposition": {"default": 1}}
    assert header(VIDEO, VIDEO | default, SOUND).places == (1, 2)
    assert header(VIDEO, VIDEO, SOUND).places == (0, 2)


def test_a_video_whose_size_is_not_told_is_worth_a_longer_look():
    assert not lacks_size({"streams": [VIDEO, SOUND]})
    assert lacks_size({"streams": [SOUND, VIDEO | {"width": 0, "height": 0}]})


def test_of_a_broadcast_only_the_programme_of_the_video_is_used():
    found = header(SOUND, VIDEO, SOUND, VIDEO, programs=[[2, 3], [0, 1]])
    assert found.places == (1, 0)
    assert [sound.index for sound in found.audio] == [0]


def test_what_has_no_video_is_refused_and_says_what_it_has():
    assert refusal(SOUND) == "The file has sound, but no video."
    assert refusal({"codec_type": "subtitle"}) == "The file has no video stream."


def test_colours_that_only_one_makers_decoders_know_are_refused():
    dolby = {"side_data_type": "DOVI configuration record", "dv_profile": 5}
    assert "Dolby Vision" in refusal(VIDEO | {"side_data_list": [dolby]})
    assert header(VIDEO | {"side_data_list": [dolby | {"dv_profile": 8}]})


def test_sound_lasts_from_the_first_track_to_the_end_of_the_longest():
    late = SOUND | {"start_time": "2.5", "duration": "9.0"}
    assert header(VIDEO, late, SOUND).sound == Span(start_s=0.0, end_s=12.5)


def test_matroska_tells_lengths_by_the_clock():
    tagged = {name: value for name, value in SOUND.items() if name != "duration"}
    clock = {"tags": {"DURATION": "01:00:09.500000000"}}
    assert header(VIDEO, tagged | clock).sound == Span(start_s=0.0, end_s=3609.5)


def test_sound_of_unknown_length_may_be_as_long_as_the_file():
    silent_about_it = {"codec_type": "audio", "codec_name": "opus", "channels": 1}
    assert header(VIDEO, silent_about_it).sound == Span(start_s=0.0, end_s=12.0)
    assert header(VIDEO).sound is None
    assert header(VIDEO, silent_about_it, duration="N/A").sound == Span(start_s=0.0, end_s=math.inf)


def test_only_some_containers_can_be_cut_as_they_are():
    assert header(VIDEO).seekable
    assert header(VIDEO, format_name="matroska,webm").seekable
    assert not header(VIDEO, format_name="mpegts").seekable
