"""Which files of a video may be asked for, and what they are."""

from __future__ import annotations

import pytest

from services.shared.errors import NotFoundError
from services.shared.filenames import (
    HLS_FILE,
    MPD_FILE,
    final_file,
    init_file,
    playlist_file,
    poster_file,
    segment_file,
    source_part_file,
)
from services.web.files import kind_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (MPD_FILE, "application/dash+xml"),
        (HLS_FILE, "application/vnd.apple.mpegurl"),
        (playlist_file("1080p"), "application/vnd.apple.mpegurl"),
        (segment_file("720p", 3, 17), "video/iso.segment"),
        (init_file("a0", 0), "video/mp4"),
        (poster_file(1), "image/jpeg"),
    ],
)
def test_every_kind_of_file_has_its_media_type(name, expected):
    assert kind_of(name).media_type == expected


@pytest.mark.parametrize(
    "name",
    [
        source_part_file(0),
        source_part_file(7, stem="prepared"),
        "",
        ".mp4",
        "x",
        "x.exe",
        "..%2fx.mp4",
        "a/b.mp4",
        "a\\b.mp4",
        "ä.mp4",
        "x.mp4\n",
        "x" * 200 + ".mp4",
    ],
)
def test_nothing_else_is_served_and_the_original_least_of_all(name):
    with pytest.raises(NotFoundError):
        kind_of(name)


@pytest.mark.parametrize("name", [MPD_FILE, HLS_FILE, playlist_file("240p"), playlist_file("a0")])
def test_names_without_a_generation_stand_for_the_newest_state(name):
    assert kind_of(name).is_manifest
    assert not kind_of(final_file(name, 2)).is_manifest


def test_media_is_no_manifest():
    assert not kind_of(segment_file("720p", 0, 1)).is_manifest
