"""Conditional requests: has the client got this very content already? (RFC 9110, section 13). Pure.

Content in the ring never changes under its name, so its SHA-256 makes a strong entity tag. Dates are not
offered, and conditions on them are therefore never met.
"""

from __future__ import annotations

import re
from typing import Final

_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag_of(sha256: str) -> str:
    """The entity tag of content with this hash: quoted, and no longer than it need be."""
    return f'"{sha256[:32]}"'


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has the content, so that 304 is the answer. Compares weakly, as the RFC asks."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match)


def allows_range(if_range: str | None, etag: str) -> bool:
    """Whether a range may be sent: the part that the client has is of this content, byte for byte."""
    return if_range is None or if_range.strip() == etag
