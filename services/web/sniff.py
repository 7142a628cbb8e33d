"""Telling at a glance what is certainly not a video. Pure.

The worker decides what is a video, by probing it. This only spares a client the upload of gigabytes that are
obviously something else, so it errs on the side of "may be": no container with moving pictures begins with
any of these signatures, and none is text.
"""

from __future__ import annotations

import codecs
from typing import Final

from services.shared.errors import UnsupportedMediaError

HEAD_BYTES: Final = 1024
"""How much of a file `refuse_obvious` wants to see, where there is so much."""

_SIGNATURES: Final[dict[bytes, str]] = {
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\x1f\x8b\x08": "a gzip archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x7fELF": "a program",
}
_TEXT_CONTROLS: Final = frozenset(b"\t\n\r\f")
_FIRST_PRINTABLE: Final = 0x20


def refuse_obvious(head: bytes) -> None:
    """Let a file pass unless its first bytes show that it is no video.

    Raises:
        UnsupportedMediaError: it is empty, or something well known, or text.
    """
    if not head:
        raise UnsupportedMediaError("The file is empty: there is no video in it.")
    for signature, what in _SIGNATURES.items():
        if head.startswith(signature):
            raise UnsupportedMediaError(f"This is not a video but {what}.")
    if _is_text(head):
        raise UnsupportedMediaError("This is not a video but text.")


def _is_text(head: bytes) -> bool:
    if any(byte < _FIRST_PRINTABLE and byte not in _TEXT_CONTROLS for byte in head):
        return False
    try:
        # Not final: the head may end in the middle of a character.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
