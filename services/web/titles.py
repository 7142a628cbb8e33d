"""Titles of videos: free text within bounds. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from services.shared.errors import InvalidRequestError

MAX_CHARS: Final = 200
UNTITLED: Final = "Untitled"

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
    return (_clean(title) or _clean(stem) or UNTITLED)[:MAX_CHARS].rstrip()


def _clean(text: str) -> str:
    """The text on one line, composed, without control and unassigned characters."""
    composed = unicodedata.normalize("NFC", text)
    kept = (char for char in composed if char.isspace() or unicodedata.category(char) not in _UNWANTED)
    return " ".join("".join(kept).split())


_UNWANTED: Final = frozenset({"Cc", "Cn", "Co", "Cs"})
