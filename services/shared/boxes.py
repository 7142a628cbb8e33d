"""The boxes that MP4 files are made of: finding one's way in them, and writing them. Pure.

A box is its size and kind, four bytes each, and its content, which may be boxes again (ISO/IEC 14496-12,
section 4.2). A "full" box begins with a version of one byte and flags of three.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.shared.errors import InvalidRequestError

HEADER_BYTES: Final = 8
LONG_HEADER_BYTES: Final = 16
"""With a size of eight bytes, for what has 4 GiB and more."""

_LONG_SIZE: Final = 1
_END_OF_32_BITS: Final = 1 << 32


def box_header(data: bytes | bytearray) -> tuple[bytes, int, int] | None:
    """Kind, offset of the content and size of the box at the start; None: not enough bytes yet."""
    if len(data) < HEADER_BYTES:
        return None
    size = int.from_bytes(data[:4], "big")
    if size != _LONG_SIZE:
        return bytes(data[4:8]), HEADER_BYTES, size
    if len(data) < LONG_HEADER_BYTES:
        return None
    return bytes(data[4:8]), LONG_HEADER_BYTES, int.from_bytes(data[8:16], "big")


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the boxes side by side in `data`.

    Raises:
        InvalidRequestError: one claims more than there is.
    """
    while header := box_header(data):
        kind, start, size = header
        if not start <= size <= len(data):
            raise InvalidRequestError("An MP4 box reaches beyond the one around it.")
        yield kind, data[start:size]
        data = data[size:]


def find_inside(data: bytes, *path: bytes) -> bytes | None:
    """Content of the first box found by descending along `path`; None: there is none."""
    for wanted in path:
        found = next((content for kind, content in boxes(data) if kind == wanted), None)
        if found is None:
            return None
        data = found
    return data


def inside(data: bytes, *path: bytes) -> bytes:
    """Content of the first box found by descending along `path`.

    Raises:
        InvalidRequestError: there is none.
    """
    found = find_inside(data, *path)
    if found is None:
        raise InvalidRequestError(f"The MP4 stream has no {b'/'.join(path).decode('latin-1')} box.")
    return found


def uint(data: bytes, offset: int, size: int = 4) -> int:
    """The number at an offset.

    Raises:
        InvalidRequestError: the data ends before.
    """
    if len(data) < offset + size:
        raise InvalidRequestError("An MP4 box is too short for what it should hold.")
    return int.from_bytes(data[offset : offset + size], "big")


def flags(full_box: bytes) -> int:
    """The flags of a full box."""
    return uint(full_box, 1, 3)


def box(kind: bytes, *contents: bytes) -> bytes:
    """A box of these contents, one behind the other."""
    size = sum(map(len, contents))
    return b"".join((box_start(kind, size), *contents))


def box_start(kind: bytes, content_bytes: int) -> bytes:
    """What stands before so many bytes of content."""
    if content_bytes + HEADER_BYTES < _END_OF_32_BITS:
        return (content_bytes + HEADER_BYTES).to_bytes(4, "big") + kind
    long_size = (content_bytes + LONG_HEADER_BYTES).to_bytes(8, "big")
    return _LONG_SIZE.to_bytes(4, "big") + kind + long_size


def full_box(kind: bytes, *contents: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with version and flags before its contents."""
    return box(kind, version.to_bytes(1, "big"), flags.to_bytes(3, "big"), *contents)
