from __future__ import annotations

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
) -> AudioFacts:
    return AudioFacts(
        index=index, codec="aac", channels=2, language=language, title=title, default=default, role=role
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
