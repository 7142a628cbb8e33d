from __future__ import annotations

import asyncio

import pytest

from services.shared.content.budget import ByteBudget


async def turns() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(delay=0)


async def test_who_fits_enters_and_who_does_not_waits_for_room():
    budget, entered = ByteBudget(100), list[str]()
    leave = {name: asyncio.Event() for name in "abc"}

    async def hold(name: str, size: int) -> None:
        async with budget.hold(size):
            entered.append(name)
            await leave[name].wait()

    tasks = [asyncio.create_task(hold(*args)) for args in (("a", 60), ("b", 60), ("c", 10))]
    await turns()
    assert entered == ["a"], "c would fit, but b came first"
    leave["a"].set()
    await turns()
    assert entered == ["a", "b", "c"]
    for event in leave.values():
        event.set()
    await asyncio.gather(*tasks)


async def test_more_than_there_is_counts_as_all_of_it():
    budget = ByteBudget(100)
    async with asyncio.timeout(10), budget.hold(1000):
        assert budget._free_bytes == 0
    assert budget._free_bytes == 100


@pytest.mark.parametrize("when", ["waiting", "just let in"])
async def test_a_cancelled_waiter_leaves_no_trace_and_lets_the_next_one_in(when):
    budget, entered = ByteBudget(100), asyncio.Event()

    async def hold(size: int, *, tell: bool = False) -> None:
        async with budget.hold(size):
            if tell:
                entered.set()

    async with budget.hold(100):
        cancelled = asyncio.create_task(hold(100))
        following = asyncio.create_task(hold(50, tell=True))
        await turns()
        if when == "waiting":
            cancelled.cancel()
            await turns()
    cancelled.cancel()
    async with asyncio.timeout(10):
        await entered.wait()
        await following
    assert budget._free_bytes == 100
    assert not budget._waiting
