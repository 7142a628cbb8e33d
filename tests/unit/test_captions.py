import pytest

from services.shared.captions import (
    MAX_CAPTIONS,
    Caption,
    Captioning,
    caption_name,
    found_file,
    given_edition,
    given_file,
    given_track,
    text_tracks,
)
from services.shared.errors import ConflictError, InvalidRequestError, NotFoundError


def found(name: str) -> Caption:
    return Caption(name=name, language=name, title="", track="text0", file="text0-g0.vtt", size_bytes=1)


def given(name: str, edition: int = 1) -> Caption:
    track = given_track(edition, "0a1b")
    return Caption(name=name, language=name, title="", track=track, file=given_file(track), size_bytes=1)


def names(captioning: Captioning) -> list[str]:
    return [caption.name for caption in captioning.offered]


def test_what_is_found_in_the_source_is_offered_in_the_order_of_names():
    assert names(Captioning().found([found("en"), found("de")])) == ["de", "en"]


def test_what_somebody_gives_replaces_what_was_found_and_stays_so():
    captioning = Captioning().found([found("en"), found("de")]).put(given("en"))
    again = captioning.found([found("en"), found("de")])
    assert names(again) == ["de", "en"]
    assert [caption.given for caption in again.offered] == [False, True]
    assert again == captioning


def test_what_somebody_removed_does_not_come_back():
    captioning = Captioning().found([found("en")]).removed("en")
    assert names(captioning.found([found("en")])) == []
    assert names(captioning.put(given("en", 2)).found([found("en")])) == ["en"]


def test_starting_over_keeps_what_was_given():
    captioning = Captioning().found([found("en")]).put(given("de"))
    assert names(captioning.found(())) == ["de"]


def test_every_change_by_people_is_an_edition():
    captioning = Captioning().found([found("en")])
    assert captioning.edition == 0
    assert captioning.put(given("de")).removed("de").edition == 2


def test_what_is_not_there_cannot_be_removed():
    with pytest.raises(NotFoundError):
        Captioning().removed("en")


def test_there_is_a_limit_that_replacing_does_not_touch():
    captioning = Captioning()
    for number in range(MAX_CAPTIONS):
        captioning = captioning.put(given(f"l{number}"))
    assert captioning.put(given("l0")).edition == MAX_CAPTIONS + 1
    with pytest.raises(ConflictError, match="at most 32"):
        captioning.put(given("en"))


@pytest.mark.parametrize(
    ("said", "name", "language"),
    [("en", "en", "en"), ("ENG", "en", "en"), ("por-br", "pt-BR", "pt-BR"), ("de.2", "de.2", "de")],
)
def test_captions_are_named_after_their_language(said, name, language):
    assert caption_name(said) == (name, language)


@pytest.mark.parametrize("said", ["", "e", "english!", "en.1", "en.0", "en.999", "en/../x", "en.2.3", "."])
def test_anything_else_is_refused(said):
    with pytest.raises(InvalidRequestError):
        caption_name(said)


def test_several_streams_of_a_language_get_names_and_titles_of_their_own():
    tracks = text_tracks([(0, "en", ""), (2, "en", "SDH"), (3, "und", ""), (5, "en", "")])
    assert [(track.name, track.title) for track in tracks] == [
        ("en", "English"),
        ("en.2", "SDH"),
        ("und", "Captions 3"),
        ("en.3", "English (4)"),
    ]
    assert found_file(tracks[1], 7) == "text2-g7.vtt"


def test_files_that_were_given_tell_their_edition():
    assert given_edition(given_file(given_track(12, "0a1b"))) == 12
    assert given_edition("text0-g0.vtt") is None
    assert given_edition("captions.vtt") is None
