"""Titles as people type them, and as files suggest them."""

from __future__ import annotations

import pytest

from services.shared.errors import InvalidRequestError
from services.web.titles import MAX_CHARS, UNTITLED, check_title, title_of_upload


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("A day at sea", "A day at sea"),
        ("  two\n lines\t", "two lines"),
        ("nul\x00 and bell\x07", "nul and bell"),
        ("<b>bold</b> & 'quoted'", "<b>bold</b> & 'quoted'"),
        ("u\u0308ber", "über"),
        ("gnp\u202e4pm.\u2066x\u00ad\ufeff", "gnp4pm.x"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        ("👩‍👩‍👧 קולנוע 映画", "👩‍👩‍👧 קולנוע 映画"),
    ],
)
def test_a_title_is_free_text_on_one_line(typed, kept):
    assert check_title(typed) == kept


@pytest.mark.parametrize("typed", ["", "   ", "\n\t", "\x00\x01", "x" * (MAX_CHARS + 1)])
def test_a_title_that_is_nothing_or_too_much_is_refused(typed):
    with pytest.raises(InvalidRequestError):
        check_title(typed)


@pytest.mark.parametrize(
    "typed", ["\u200b\u202e", "\u200d \u200c", "\ufe0f", "\u0301", "\u3164\u2800", "\u2028"]
)
def test_a_title_of_which_nothing_is_seen_is_refused(typed):
    with pytest.raises(InvalidRequestError, match="visible"):
        check_title(typed)


@pytest.mark.parametrize(
    ("title", "file_name", "expected"),
    [
        ("Given", "file.mp4", "Given"),
        ("", "My_holiday_2019.mp4", "My holiday 2019"),
        ("", "C:\\videos\\clip.avi", "clip"),
        ("", "/home/../etc/clip.tar.mkv", "clip.tar"),
        ("", "no suffix", "no suffix"),
        ("", ".mp4", UNTITLED),
        ("", "", UNTITLED),
        (" ", "x" * 300 + ".mp4", "x" * MAX_CHARS),
        ("\u200b\u202e", "gnp\u202e4pm.mp4", "gnp4pm"),
        ("\u200d" * MAX_CHARS + "x", "\u2066.mp4", UNTITLED),
    ],
)
def test_an_upload_always_gets_a_title(title, file_name, expected):
    assert title_of_upload(title, file_name) == expected
