"""What becomes of a job, decided from how its handler ended. Pure."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from services.shared.errors import (
    ElsewhereError,
    FencedError,
    JobError,
    OutOfSpaceError,
    PermanentJobError,
    UnsupportedMediaError,
)


@dataclass(frozen=True, kw_only=True)
class Done:
    """Settle it: its effect is there, by us or by somebody else."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """It did not work out. `reason` is a sentence for people, `detail` for engineers."""

    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Retry(Failed):
    """Try again after a delay."""


@dataclass(frozen=True, kw_only=True)
class Deferred(Failed):
    """Nobody tried: try after a delay, as often as it takes."""


@dataclass(frozen=True, kw_only=True)
class Dead(Failed):
    """Give up."""

    cause: BaseException
    """What the last attempt raised."""


Outcome = Done | Retry | Deferred | Dead


def decide(error: BaseException | None, *, attempt: int, max_attempts: int) -> Outcome:
    """The outcome of an attempt (counted from 1) whose handler returned (None) or raised `error`.

    An error that nobody foresaw is worth another attempt, since most are of passing nature, and ends as a
    dead letter with its traceback if it is not. A full disk says nothing about the job, neither the worker's
    own nor those of the ring: as soon as somebody has made room, it goes on. Nor does a worker that lacks
    what another one has.
    """
    if error is None or isinstance(error, FencedError):
        return Done()
    reason = str(error) or type(error).__name__
    if isinstance(error, PermanentJobError | UnsupportedMediaError):
        return Dead(reason=reason, detail=_detail(error), cause=error)
    if isinstance(error, OutOfSpaceError | ElsewhereError):
        return Deferred(reason=reason, detail=_detail(error))
    if attempt >= max_attempts:
        final = f"Given up after {attempt} attempts: {reason}"
        return Dead(reason=final, detail=_detail(error), cause=error)
    return Retry(reason=reason, detail=_detail(error))


def _detail(error: BaseException) -> str:
    if isinstance(error, JobError | UnsupportedMediaError):
        return "\n".join(_told(error))
    return "".join(traceback.format_exception(error))


def _told(error: BaseException) -> Iterator[str]:
    """What an error says for engineers, then its causes, then what was noted on each, such as a command."""
    yield from filter(None, [getattr(error, "detail", "")])
    if error.__cause__ is not None:
        yield str(error.__cause__)
        yield from _told(error.__cause__)
    yield from getattr(error, "__notes__", ())
