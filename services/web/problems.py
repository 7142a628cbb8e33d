"""Errors as HTTP answers: problem details of RFC 9457, by table from the error tree.

The `detail` is the error's own sentence. The `type` is left at its default, `about:blank`, which says that
the status code tells all there is to tell apart; `title` is then the code's phrase.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from services.shared.errors import (
    BusyError,
    ChecksumError,
    ConflictError,
    CorruptFileError,
    FencedError,
    GoneError,
    InvalidRequestError,
    NotFoundError,
    OutOfSpaceError,
    StaleRingError,
    TooLargeError,
    TritonTubeError,
    UnavailableError,
    UnsupportedMediaError,
)
from services.web.ranges import RangeNotSatisfiableError

MEDIA_TYPE: Final = "application/problem+json"

_SOON: Final = {"Retry-After": "5"}
_LATER: Final = {"Retry-After": "60"}

CHECKSUM_MISMATCH: Final = 460
"""A status code of tus 1.0.0, which HTTP does not know."""

_TABLE: Final[dict[type[TritonTubeError], tuple[int, Mapping[str, str]]]] = {
    InvalidRequestError: (HTTPStatus.BAD_REQUEST, {}),
    ChecksumError: (CHECKSUM_MISMATCH, {}),
    NotFoundError: (HTTPStatus.NOT_FOUND, {}),
    GoneError: (HTTPStatus.GONE, {}),
    ConflictError: (HTTPStatus.CONFLICT, {}),
    BusyError: (HTTPStatus.LOCKED, _SOON),
    TooLargeError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {}),
    UnsupportedMediaError: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {}),
    RangeNotSatisfiableError: (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {}),
    FencedError: (HTTPStatus.CONFLICT, {}),
    StaleRingError: (HTTPStatus.SERVICE_UNAVAILABLE, _SOON),
    CorruptFileError: (HTTPStatus.SERVICE_UNAVAILABLE, _SOON),
    UnavailableError: (HTTPStatus.SERVICE_UNAVAILABLE, _SOON),
    OutOfSpaceError: (HTTPStatus.INSUFFICIENT_STORAGE, _LATER),
}
"""The nearest class in an error's ancestry decides; one without any is our fault: 500."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What went wrong, for people and for programs."""

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status code's phrase."""
        return problem_title(self.status)

    def encode(self) -> bytes:
        """The problem as JSON."""
        return json.dumps(
            {"type": "about:blank", "title": self.title, "status": int(self.status), "detail": self.detail},
            ensure_ascii=False,
        ).encode()


def problem_title(status: int) -> str:
    """The phrase of a status code."""
    return "Checksum Mismatch" if status == CHECKSUM_MISMATCH else HTTPStatus(status).phrase


def problem_of(error: TritonTubeError) -> Problem:
    """How an error of ours is answered."""
    for kind in type(error).__mro__:
        if kind in _TABLE:
            status, headers = _TABLE[kind]
            return Problem(status=status, detail=str(error), headers={**headers, **_own_headers(error)})
    return Problem(status=HTTPStatus.INTERNAL_SERVER_ERROR, detail=str(error))


def problem_of_form(errors: Iterable[Mapping[str, Any]]) -> Problem:
    """How a request is answered whose parameters or body are not what they should be.

    Args:
        errors: as the framework lists them (https://docs.pydantic.dev/latest/errors/errors/); the first step
            of a `loc` is the part of the request, the others lead to a field of it.
    """
    return Problem(status=HTTPStatus.UNPROCESSABLE_ENTITY, detail=" ".join(map(_sentence, errors)))


def _sentence(error: Mapping[str, Any]) -> str:
    """One error; where the framework says what an input should be, the input is named instead."""
    part, *path = error["loc"]
    if error["type"] == "json_invalid":
        return f"The {part} is not JSON: {error['ctx']['error']} (at character {path[0]})."
    place = f"The {part}'s {'.'.join(map(str, path))}" if path else f"The {part}"
    if error["type"] == "missing":
        return f"{place} is missing."
    kind, should, what = str(error["msg"]).partition(" should ")
    return f"{place}{should}{what}." if should else f"{place}: {kind}."


def _own_headers(error: TritonTubeError) -> dict[str, str]:
    if isinstance(error, RangeNotSatisfiableError):
        return {"Content-Range": f"bytes */{error.size_bytes}"}
    return {}
