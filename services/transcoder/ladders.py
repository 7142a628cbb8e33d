"""The ladder that an installation has chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from services.shared.errors import InvalidRequestError
from services.transcoder.ladder import Ladder, ladder_of, parse_ladder

_FILE_SUFFIX: Final = ".toml"


def load_ladder(choice: str) -> Ladder:
    """The ladder that a setting asks for.

    Args:
        choice: names of codec profiles, comma separated, or the path of a TOML file.

    Raises:
        InvalidRequestError: there is no such ladder; the message says what is wrong.
    """
    try:
        if choice.endswith(_FILE_SUFFIX):
            return parse_ladder(Path(choice).read_text(encoding="utf-8"))
        return ladder_of(tuple(name.strip() for name in choice.split(",")))
    except (InvalidRequestError, OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"The ladder {choice!r} cannot be used: {error}") from error
