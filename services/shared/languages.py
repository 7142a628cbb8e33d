"""Languages of sound and captions: one tag for each, and a name for people. Pure.

Containers and people write the same language as `deu`, `ger` or `de`; manifests and browsers want the
shortest of these (RFC 5646, section 2.2.1). The tables are those of Unicode's CLDR.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.core import get_global

from services.shared.errors import InvalidRequestError

UNDETERMINED: Final = "und"
"""The tag of a language that nobody knows."""

_WELL_FORMED: Final = re.compile(r"(?P<language>[a-z]{2,3})(?P<rest>(-[a-z0-9]{2,8}){0,3})", re.IGNORECASE)
_TITLE_CHARS: Final = 100
_REGION_CHARS: Final = 2
_SCRIPT_CHARS: Final = 4
_ALPHA3_CHARS: Final = 3


def language_tag(said: str) -> str:
    """The tag for what a file or a person calls a language: `de` for `ger`, `pt-BR` for `por-br`.

    Raises:
        InvalidRequestError: it has not the form of a language tag.
    """
    found = _WELL_FORMED.fullmatch(said.strip().replace("_", "-"))
    if found is None:
        raise InvalidRequestError(f"{said[:20]!r} is no language tag; one looks like en, de or pt-BR.")
    language = found["language"].lower()
    subtags = [_cased(subtag) for subtag in found["rest"].split("-")[1:]]
    return "-".join([get_global("language_aliases").get(language, language), *subtags])


def known_language(said: str) -> str:
    """As `language_tag`, for what is found in files: nonsense is an undetermined language."""
    try:
        return language_tag(said)
    except InvalidRequestError:
        return UNDETERMINED


def language_name(tag: str) -> str:
    """What speakers of a language call it, or in English what it is; empty where there is nothing to say."""
    if tag == UNDETERMINED:
        return ""
    try:
        name = Locale.parse(tag, sep="-").display_name
    except (UnknownLocaleError, ValueError):
        name = Locale("en").languages.get(tag)
    return _capitalised(name or tag)


def alpha3(tag: str) -> str:
    """The three letters of ISO 639-2/T that MP4's media header takes; `und` where there are none."""
    language = tag.partition("-")[0]
    if len(language) == _ALPHA3_CHARS:
        return language
    # The terminological code stands before the bibliographic one: deu, ger.
    codes = sorted(code for code, short in get_global("language_aliases").items() if short == language)
    return next((code for code in codes if len(code) == _ALPHA3_CHARS), UNDETERMINED)


def distinct_titles(tracks: Iterable[tuple[str, str]], *, otherwise: str) -> list[str]:
    """A title for each of a video's tracks of a kind, no two of them alike, for menus.

    Args:
        tracks: of each, what the source calls it (may be empty), and its language.
        otherwise: what a track is called that has neither, e.g. `Sound`; numbered.
    """
    titles: list[str] = []
    for number, (said, tag) in enumerate(tracks, start=1):
        title = _clean(said) or language_name(tag) or f"{otherwise} {number}"
        titles.append(title if title not in titles else f"{title} ({number})")
    return titles


def _cased(subtag: str) -> str:
    """As is usual: regions in capitals, scripts capitalised."""
    if len(subtag) == _REGION_CHARS:
        return subtag.upper()
    return subtag.capitalize() if len(subtag) == _SCRIPT_CHARS and subtag.isalpha() else subtag.lower()


def _capitalised(name: str) -> str:
    return name[:1].upper() + name[1:]


def _clean(said: str) -> str:
    """On one line, without quotes: it stands within them in playlists."""
    printable = "".join(char if char.isprintable() else " " for char in said.replace('"', "'"))
    return " ".join(printable.split())[:_TITLE_CHARS]
