"""What a failed attempt means, as tables: repeat it, move on, log in again, or give up.

A write that was cut off may have been applied all the same: the answer is lost, not the write. Only where the
refusal is known to come before any work (`NOT_DONE`) may a transaction be sent again. Codes and texts are
those of etcd's `rpctypes`, the same from 3.4 to 3.6.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from grpc import StatusCode

from services.shared.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RequestError,
    TooLargeError,
    TritonTubeError,
    UnavailableError,
)


class CompactedError(TritonTubeError):
    """The wanted revision is no longer kept: list again and go on from there."""

    def __init__(self, message: str, *, compact_revision: int = 0) -> None:
        super().__init__(message)
        self.compact_revision = compact_revision
        """The oldest revision that is still kept; 0 when etcd did not say."""


class Verdict(Enum):
    """What to think of one failed attempt."""

    NOT_DONE = "refused before any work: safe to repeat, elsewhere"
    UNKNOWN = "may have been done: repeat only what may happen twice"
    STALE_TOKEN = "the login expired: log in again and repeat"  # noqa: S105 - a meaning, not a secret
    FINAL = "an answer: repeating cannot help"


class AttemptError(Exception):
    """One attempt failed in a way that passes. Stays inside this package."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict


_NOT_DONE = (
    "etcdserver: no leader",
    "etcdserver: not capable",
    "etcdserver: too many requests",
)
_STALE_TOKEN = (
    "etcdserver: invalid auth token",
    "etcdserver: revision of auth store is old",
)
_UNKNOWN_CODES = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.UNKNOWN,
        StatusCode.INTERNAL,  # a stream reset by a dying peer
        StatusCode.CANCELLED,  # by the server, as it stops
    }
)

_ERRORS_BY_TEXT: dict[str, Callable[[str], TritonTubeError]] = {
    "required revision has been compacted": CompactedError,
    "request is too large": TooLargeError,
    "database space exceeded": UnavailableError,
}
_ERRORS_BY_CODE: dict[StatusCode, Callable[[str], TritonTubeError]] = {
    StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    StatusCode.OUT_OF_RANGE: InvalidRequestError,
    StatusCode.NOT_FOUND: NotFoundError,
    StatusCode.FAILED_PRECONDITION: ConflictError,
    StatusCode.ALREADY_EXISTS: ConflictError,
    StatusCode.RESOURCE_EXHAUSTED: TooLargeError,
    StatusCode.PERMISSION_DENIED: RequestError,
    StatusCode.UNAUTHENTICATED: RequestError,
}


def judge(code: StatusCode, details: str) -> Verdict:
    """Say what a failed attempt means for repeating it."""
    if details.startswith(_NOT_DONE):
        return Verdict.NOT_DONE
    if details.startswith(_STALE_TOKEN):
        return Verdict.STALE_TOKEN
    return Verdict.UNKNOWN if code in _UNKNOWN_CODES else Verdict.FINAL


def as_error(code: StatusCode, details: str) -> TritonTubeError:
    """Return the error that tells a caller of a final answer."""
    sentence = f"etcd: {details.removeprefix('etcdserver: ') or code.name}"
    for text, by_text in _ERRORS_BY_TEXT.items():
        if text in details:
            return by_text(sentence)
    return _ERRORS_BY_CODE.get(code, UnavailableError)(sentence)
