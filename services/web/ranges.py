"""Byte ranges of a file, as HTTP asks for and answers them (RFC 9110, section 14). Pure.

A `Range` header that makes no sense is ignored, as the RFC wants: the answer is then the whole file. One that
makes sense but lies outside the file is an error of its own, answered 416.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from services.shared.errors import RequestError

MAX_RANGES: Final = 16
"""More in one request than any player asks for; ignoring them costs an attacker a whole file, not us."""

_UNIT: Final = "bytes="
_SPEC: Final = re.compile(r"([0-9]*)-([0-9]*)")
_MAX_DIGITS: Final = 18
"""No file is so long; Python refuses to read a number of some thousand digits."""


class RangeNotSatisfiableError(RequestError):
    """No part of the wanted ranges lies within the file."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"The file has {size_bytes} bytes; the range asked for lies outside.")
        self.size_bytes = size_bytes


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """The bytes from `start` up to, not including, `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.end - self.start

    def content_range(self, size_bytes: int) -> str:
        """Value of the Content-Range header for this part of a file of `size_bytes`."""
        return f"bytes {self.start}-{self.end - 1}/{size_bytes}"


def parse_ranges(header: str, size_bytes: int) -> tuple[ByteRange, ...]:
    """The ranges that a Range header asks of a file, in the order asked for; empty: send the whole file.

    Ranges that overlap are a known way to make a server send a file many times over, so such a request is
    ignored like a malformed one.

    Raises:
        RangeNotSatisfiableError: the header is well-formed, but nothing in it lies within the file.
    """
    specs = _specs(header)
    if specs is None:
        return ()
    found = [wanted for first, last in specs if (wanted := _resolve(first, last, size_bytes))]
    if not found:
        raise RangeNotSatisfiableError(size_bytes)
    return () if _overlapping(found) else tuple(found)


def _specs(header: str) -> list[tuple[str, str]] | None:
    """The (first, last) texts of each range, or None where the header is to be ignored."""
    if not header.lower().startswith(_UNIT):
        return None
    parts = [part.strip() for part in header[len(_UNIT) :].split(",") if part.strip()]
    if not 0 < len(parts) <= MAX_RANGES:
        return None
    matches = [_SPEC.fullmatch(part) for part in parts]
    specs = [(match[1], match[2]) for match in matches if match]
    return specs if len(specs) == len(parts) and all(map(_sensible, specs)) else None


def _sensible(spec: tuple[str, str]) -> bool:
    first, last = spec
    if first and last:
        return _number(first) <= _number(last)
    return bool(first or last)


def _number(digits: str) -> int:
    """A number as it is written; one beyond all files is cut down to where it still is."""
    figures = digits.lstrip("0")
    return int(figures or "0") if len(figures) <= _MAX_DIGITS else 10**_MAX_DIGITS


def _resolve(first: str, last: str, size_bytes: int) -> ByteRange | None:
    """One range within the file, or None if it lies outside."""
    if first:
        start = _number(first)
        end = min(_number(last) + 1, size_bytes) if last else size_bytes
    else:
        start, end = max(size_bytes - _number(last), 0), size_bytes
    return ByteRange(start=start, end=end) if start < end else None


def _overlapping(ranges: list[ByteRange]) -> bool:
    ordered = sorted(ranges, key=lambda wanted: wanted.start)
    return any(before.end > after.start for before, after in pairwise(ordered))
