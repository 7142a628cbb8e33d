from __future__ import annotations

import pytest

from services.shared.tracks import SoundRole
from services.transcoder.sound import sound_tracks
from services.transcoder.source import AudioFacts


def stream(
    index: int,
    language: str = "und",
    *,
    title: str = "",
    default: bool = False,
    role: SoundRole = SoundRole.PROGRAMME,
    channels: int = 2,
    layout: str = "stereo",
) -> AudioFacts:
    return AudioFacts(
        index=index,
        codec="aac",
        channels=channels,
        language=language,
        layout=layout,
        title=title,
        default=default,
        role=role,
    )


def order(*streams: AudioFacts) -> list[int]:
    return [track.index for track in sound_tracks(streams, duration_samples=1)]


def test_players_begin_with_the_track_that_the_source_wants_first():
    assert order(stream(0, "en"), stream(1, "de", default=True), stream(2, "fr")) == [1, 0, 2]


def test_without_a_wish_the_order_is_the_source_s():
    assert order(stream(0), stream(1), stream(2)) == [0, 1, 2]


def test_comments_and_descriptions_stand_last_even_if_the_source_wants_them_first():
    comment = stream(0, role=SoundRole.COMMENTARY, default=True)
    assert order(comment, stream(1, role=SoundRole.DESCRIPTION), stream(2)) == [2, 0, 1]


def test_tracks_are_called_by_their_title_or_their_language():
    tracks = sound_tracks(
        [stream(0, "de"), stream(1, "de", title="Regie"), stream(2)], duration_samples=48_000
    )
    assert [track.title for track in tracks] == ["Deutsch", "Regie", "Sound 3"]
    assert [track.name for track in tracks] == ["a0", "a1", "a2"]
    assert {track.duration_samples for track in tracks} == {48_000}


@pytest.mark.parametrize(
    ("channels", "layout", "averaged"),
    [
        (6, "5.1(side)", 0),
        (4, "unknown", 0),
        (16, "hexadecagonal", 0),
        (12, "unknown", 12),
        (10, "10 channels (FL+FR+FC+LFE+BL+BR+FLC+FRC+BC+SL)", 10),
        (4, "ambisonic 1", 1),
    ],
)
def test_channels_that_nobody_can_place_are_averaged(channels: int, layout: str, averaged: int):
    track, *_ = sound_tracks([stream(0, channels=channels, layout=layout)], duration_samples=1)
    assert track.averaged == averaged
