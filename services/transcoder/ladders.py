"""The ladder that an installation has chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from services.shared.errors import InvalidRequestError
from services.transcoder.ladder import Ladder, ladder_of, parse_ladder

_FILE_SUFFIX: Final = ".toml"


def load_ladder(choice: str, *, per_title: bool = False) -> Ladder:
    """The ladder that a setting asks for.

    Args:
        choice: names of codec profiles, comma separated, or the path of a TOML file.
        per_title: whether videos get the quality that they need, also where a file does not say so.

    Raises:
        InvalidRequestError: there is no such ladder; the message says what is wrong.
    """
    ladder = _chosen(choice)
    return ladder.model_copy(update={"per_title": per_title or ladder.per_title})


def _chosen(choice: str) -> Ladder:
    try:
        if choice.endswith(_FILE_SUFFIX):
            return parse_ladder(Path(choice).read_text(encoding="utf-8"))
        return ladder_of(tuple(name.strip() for name in choice.split(",")))
    except (InvalidRequestError, OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"The ladder {choice!r} cannot be used: {error}") from error
