"""Wait on conditions, never on the clock."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar, overload

T = TypeVar("T")

POLL_S = 0.05


class DeadlineError(TimeoutError):
    """What was waited for has not come in time. Its cause is what the last look at it raised, if it did."""


@overload
async def eventually(
    predicate: Callable[[], Awaitable[T | None]],
    *,
    deadline_s: float = ...,
    what: str = ...,
    poll_s: float = ...,
) -> T: ...


@overload
async def eventually(
    predicate: Callable[[], T | None], *, deadline_s: float = ..., what: str = ..., poll_s: float = ...
) -> T: ...


async def eventually(
    predicate: Callable[[], Any],
    *,
    deadline_s: float = 30.0,
    what: str = "condition",
    poll_s: float = POLL_S,
) -> Any:
    """Return the first truthy value of `predicate` (sync or async), polled until `deadline_s` seconds passed.

    Exceptions of the predicate count as "not yet" and are shown when time runs out. What stays true once it
    is, and takes long, may be looked at less often (`poll_s`): each look at a server costs it something.

    Raises:
        DeadlineError: naming `what`, with the last value or error seen.
    """
    end = monotonic() + deadline_s
    last: object = None
    while monotonic() < end:
        try:
            value = predicate()
            value = await value if inspect.isawaitable(value) else value
        except Exception as error:  # noqa: BLE001 - any failure only means "not yet"
            last = error
        else:
            if value:
                return value
            last = value
        await asyncio.sleep(poll_s)
    cause = last if isinstance(last, Exception) else None
    raise DeadlineError(f"{what}: not within {deadline_s} s; last seen: {last!r}") from cause


@asynccontextmanager
async def within(deadline_s: float, *, what: str) -> AsyncIterator[None]:
    """Have the body end within `deadline_s` seconds.

    Raises:
        DeadlineError: it did not.
    """
    try:
        async with asyncio.timeout(deadline_s) as limit:
            yield
    except TimeoutError as error:
        if limit.expired():
            raise DeadlineError(f"{what}: not within {deadline_s} s") from error
        raise


def took_no_longer(took_s: float, limit_s: float, *, what: str) -> None:
    """Have what took too long count as a deadline that ran out, which may tell of the machine.

    Raises:
        DeadlineError: it did.
    """
    if took_s > limit_s:
        raise DeadlineError(f"{what}: not within {limit_s} s, but in {took_s:.1f} s")
