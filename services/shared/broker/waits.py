"""Waiting for whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


async def first_of(*waits: Awaitable[object], timeout_s: float | None = None) -> None:
    """Return when one of `waits` is done, or after `timeout_s`; the others are cancelled.

    Meant for events and closures: results are not looked at.
    """
    futures = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in futures:
            future.cancel()


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task, if it still runs, and wait until it is over; its outcome is not looked at."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not report it as forgotten
