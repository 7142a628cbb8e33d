"""Titles of videos: free text within bounds. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from services.shared.errors import InvalidRequestError

MAX_CHARS: Final = 200
UNTITLED: Final = "Untitled"

_UNWANTED: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
"""Among Cf are the marks that turn the direction of all text around a title, or hide something in it."""

_JOINERS: Final = "\u200c\u200d"
"""Of Cf, what scripts and composed emoji cannot do without."""

_BLANK: Final = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and signs by category, but drawn as nothing: the fillers of Hangul, and Braille without a dot."""

_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,5}$")


def check_title(text: str) -> str:
    """A title as somebody typed it, cleaned.

    Raises:
        InvalidRequestError: nothing is left of it, or it is too long.
    """
    title = _clean(text)
    if not title:
        raise InvalidRequestError("A title needs at least one visible character.")
    if len(title) > MAX_CHARS:
        raise InvalidRequestError(f"A title has at most {MAX_CHARS} characters; this one has {len(title)}.")
    return title


def title_of_upload(title: str, file_name: str) -> str:
    """The title of a new video: the one given with it, else one made of its file's name.

    Nobody loses an upload over its title, so here what is too long is cut.
    """
    stem = _SUFFIX.sub("", re.split(r"[/\\]", file_name)[-1]).replace("_", " ")
    return _cut(title) or _cut(stem) or UNTITLED


def _clean(text: str) -> str:
    """The text on one line, composed, without what controls or means nothing; empty: nothing is seen."""
    composed = unicodedata.normalize("NFC", text)
    line = " ".join("".join(filter(_is_wanted, composed)).split())
    return line if any(map(_is_visible, line)) else ""


def _cut(text: str) -> str:
    """As much of a text as a title may have; empty if none of that is seen."""
    return _clean(_clean(text)[:MAX_CHARS])


def _is_wanted(char: str) -> bool:
    return char.isspace() or char in _JOINERS or unicodedata.category(char) not in _UNWANTED


def _is_visible(char: str) -> bool:
    """Whether something is seen where a character stands alone: a letter, a number, a sign."""
    return unicodedata.category(char)[0] in "LNPS" and char not in _BLANK
