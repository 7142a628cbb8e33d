"""A task that was told to end does, also where a group of its tasks fails at that moment."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from services.shared.lifecycle import heed_cancellation


async def fail_when_told_to_end(begun: asyncio.Event) -> None:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        raise OSError("failed on the way out")


async def carry_on(begun: asyncio.Event) -> str:
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(fail_when_told_to_end(begun))
    heed_cancellation()
    return "went on"


async def test_a_cancellation_outlives_a_failing_group():
    begun = asyncio.Event()
    task = asyncio.create_task(carry_on(begun))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_was_not_cancelled_goes_on():
    heed_cancellation()
