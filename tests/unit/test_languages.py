from __future__ import annotations

import pytest

from services.shared.errors import InvalidRequestError
from services.shared.languages import alpha3, distinct_titles, known_language, language_name, language_tag


@pytest.mark.parametrize(
    ("said", "tag"),
    [
        ("de", "de"),
        ("ger", "de"),
        ("deu", "de"),
        ("DEU", "de"),
        ("fre", "fr"),
        ("eng", "en"),
        ("por-br", "pt-BR"),
        ("zh_hant", "zh-Hant"),
        ("es-419", "es-419"),
        ("und", "und"),
        ("qaa", "qaa"),
        ("iw", "he"),
    ],
)
def test_one_language_has_one_tag_however_it_is_written(said, tag):
    assert language_tag(said) == tag


@pytest.mark.parametrize("said", ["", "d", "german", "de-", "de/ch", "1", '"', "de-" + "x" * 9])
def test_what_is_no_tag_is_refused_and_undetermined_in_a_file(said):
    with pytest.raises(InvalidRequestError):
        language_tag(said)
    assert known_language(said) == "und"


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("de", "Deutsch"),
        ("fr", "Français"),
        ("ja", "日本語"),
        ("pt-BR", "Português (Brasil)"),
        ("mul", "Multiple languages"),
        ("qaa", "Qaa"),
        ("und", ""),
    ],
)
def test_a_language_is_called_what_its_speakers_call_it(tag, name):
    assert language_name(tag) == name


@pytest.mark.parametrize(
    ("tag", "code"),
    [("de", "deu"), ("fr", "fra"), ("pt-BR", "por"), ("qaa", "qaa"), ("und", "und"), ("xy", "und")],
)
def test_mp4_gets_three_letters(tag, code):
    assert alpha3(tag) == code


def test_no_two_tracks_have_the_same_title():
    tracks = [("", "de"), ("Director", "de"), ("", "de"), ("", "und"), ('  "Loud"\n ', "en"), ("", "en")]
    assert distinct_titles(tracks, otherwise="Sound") == [
        "Deutsch",
        "Director",
        "Deutsch (3)",
        "Sound 4",
        "'Loud'",
        "English",
    ]
