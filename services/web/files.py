"""Files of a video that players may ask for: which names exist, their types, how long they may be kept. Pure.

What is not in the table is not served; the parts of an uploaded original are not in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from services.shared.errors import NotFoundError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_GENERATION: Final = re.compile(r"-g\d+[-.]")

_MANIFESTS: Final = frozenset({"mpd", "m3u8"})
"""Names of these without a generation stand for the newest state; it is rendered while a video is made."""

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

_NAMES_KNOWN: Final = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class FileKind:
    """What the name of a file tells about it."""

    media_type: str
    is_manifest: bool
    """Whether the name stands for the newest manifest or playlist, whatever generation that is of."""

    @property
    def cache_control(self) -> str:
        """How long it may be kept."""
        return REVALIDATE if self.is_manifest else IMMUTABLE


@lru_cache(_NAMES_KNOWN)
def kind_of(name: str) -> FileKind:
    """What kind of file has this name.

    Raises:
        NotFoundError: no file could have it, so nobody needs to look.
    """
    suffix = name.rpartition(".")[2]
    if not _NAME.fullmatch(name) or suffix not in TYPES:
        raise NotFoundError("There is no such file.")
    is_manifest = suffix in _MANIFESTS and not _GENERATION.search(name)
    return FileKind(media_type=TYPES[suffix], is_manifest=is_manifest)
