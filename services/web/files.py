"""Files of a video that players may ask for: which names exist, their types, how long they may be kept. Pure.

What is not in the table is not served; the parts of an uploaded original are not in it.
"""

from __future__ import annotations

import re
from typing import Final

from services.shared.errors import NotFoundError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_GENERATION: Final = re.compile(r"-g\d+[-.]")

MANIFEST_SUFFIXES: Final = frozenset({"mpd", "m3u8"})
"""Names without a generation stand for the newest state, and these are rendered while a video is made."""

TYPES: Final[dict[str, str]] = {
    "mpd": "application/dash+xml",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4s": "video/iso.segment",
    "mp4": "video/mp4",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "vtt": "text/vtt; charset=utf-8",
}
"""Media types by suffix. `video/iso.segment` is registered for sound as well (RFC 6381 and DASH)."""

IMMUTABLE: Final = "public, max-age=31536000, immutable"
REVALIDATE: Final = "no-cache"


def check_file_name(name: str) -> str:
    """Return the name if a file of that name could exist.

    Raises:
        NotFoundError: it could not, so nobody needs to look.
    """
    if not _NAME.fullmatch(name) or suffix_of(name) not in TYPES:
        raise NotFoundError("There is no such file.")
    return name


def suffix_of(name: str) -> str:
    """What follows the last dot."""
    return name.rpartition(".")[2]


def media_type_of(name: str) -> str:
    """The Content-Type of a file that passed `check_file_name`."""
    return TYPES[suffix_of(name)]


def is_manifest(name: str) -> bool:
    """Whether the name stands for the newest manifest or playlist, whatever generation that is of."""
    return suffix_of(name) in MANIFEST_SUFFIXES and not _GENERATION.search(name)
