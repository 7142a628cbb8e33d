"""What the headers of tus 1.0.0 say. Pure.

Of the protocol's extensions these are offered: `creation` and `creation-with-upload`, `expiration`,
`checksum`, `termination`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from services.shared.errors import ChecksumError, InvalidRequestError

if TYPE_CHECKING:
    from hashlib import _Hash

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,expiration,checksum,termination"
ALGORITHMS: Final = ("sha1", "sha256", "md5")
CONTENT_TYPE: Final = "application/offset+octet-stream"
MAX_METADATA_BYTES: Final = 4096

_MAX_DIGITS: Final = 18
_MILLISECONDS: Final = 1000


def size_in(headers: Mapping[str, str], name: str) -> int:
    """A header that has to be a number of bytes.

    Raises:
        InvalidRequestError: it is missing, or something else.
    """
    text = headers.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise InvalidRequestError(f"The header {name} has to be there, and a number of bytes.")
    return int(text)


def brings_bytes(headers: Mapping[str, str]) -> bool:
    """Whether a body is of the kind that adds to uploads, however its type is written (RFC 9110, 8.3.1)."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == CONTENT_TYPE


def metadata_of(text: str) -> dict[str, str]:
    """The pairs in a header `Upload-Metadata`.

    Raises:
        InvalidRequestError: it is malformed.
    """
    pairs = [entry.split() for entry in text.split(",")] if text.strip() else []
    found: dict[str, str] = {}
    for pair in pairs:
        if not 1 <= len(pair) <= 2 or pair[0] in found:  # noqa: PLR2004 - a key, and perhaps a value
            raise InvalidRequestError(
                "Upload-Metadata has keys, each once, with values in Base64, separated by commas."
            )
        found[pair[0]] = _decoded(pair[1]).decode("utf-8", "replace") if pair[1:] else ""
    return found


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """What a request's body has to be."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """What a header `Upload-Checksum` says.

        Raises:
            InvalidRequestError: it is malformed, or names an algorithm that is not offered.
        """
        algorithm, _, digest = text.strip().partition(" ")
        if algorithm not in ALGORITHMS:
            raise InvalidRequestError(f"Upload-Checksum can be made by {', '.join(ALGORITHMS)}.")
        return cls(algorithm=algorithm, digest=_decoded(digest.strip()))

    def hash(self) -> _Hash:
        """A hash to be fed with the body. It protects from damage, not from people."""
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def check(self, fed: _Hash) -> None:
        """Compare.

        Raises:
            ChecksumError: the body was another.
        """
        if fed.digest() != self.digest:
            raise ChecksumError("What arrived does not match Upload-Checksum; nothing of it was kept.")


def http_date(time_ms: int) -> str:
    """A moment as in `Upload-Expires`."""
    return formatdate(time_ms / _MILLISECONDS, usegmt=True)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise InvalidRequestError("A value in the headers is no Base64.") from error
