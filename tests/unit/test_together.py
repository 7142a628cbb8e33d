"""Several things at the same time: all results, one error, and an end when one is told to end."""

from __future__ import annotations

import asyncio

import pytest

from services.shared.errors import UnavailableError
from services.storage.together import together


async def give(value: int) -> int:
    return value


async def fail_after(gate: asyncio.Event, failed: asyncio.Event | None = None) -> int:
    """Fails also when it is cancelled, as a call does whose peer said no at that moment."""
    try:
        await gate.wait()
    finally:
        if failed:
            failed.set()
        raise UnavailableError("no")


async def test_results_come_in_order():
    assert await together(give(1), give(2), give(3)) == [1, 2, 3]
    assert await together() == []


async def test_the_first_error_ends_the_others_and_is_raised_by_itself():
    gate, over = asyncio.Event(), asyncio.Event()

    async def wait() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            over.set()
        return 0

    gate.set()
    with pytest.raises(UnavailableError):
        await together(wait(), fail_after(gate))
    assert over.is_set()


@pytest.mark.parametrize("failed_first", [True, False])
async def test_who_is_told_to_end_while_a_part_fails_ends(failed_first):
    gate, begun, failed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def begin() -> int:
        begun.set()
        return await fail_after(gate)

    async def goes_on_after_errors() -> str:
        try:
            await together(begin(), fail_after(gate, failed))
        except UnavailableError:
            return "went on"
        return "done"

    task = asyncio.create_task(goes_on_after_errors())
    await begun.wait()
    if failed_first:
        gate.set()
        await failed.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
