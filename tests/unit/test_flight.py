"""Work that several callers share."""

from __future__ import annotations

import asyncio

import pytest

from services.shared.errors import NotFoundError
from services.web.flight import SingleFlight


class Work:
    """Counts how often it was begun, and ends when told."""

    def __init__(self) -> None:
        self.begun = 0
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        self.started.set()
        await self.gate.wait()
        if self.error:
            raise self.error
        return self.begun


async def together(flight: SingleFlight[int], work: Work, callers: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(flight.do("key", work)) for _ in range(callers)]
    await work.started.wait()
    return tasks


async def test_all_who_ask_meanwhile_share_one_piece_of_work():
    flight, work = SingleFlight[int](), Work()
    tasks = await together(flight, work, 100)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [1] * 100


async def test_who_asks_afterwards_begins_anew():
    flight, work = SingleFlight[int](), Work()
    work.gate.set()
    assert await flight.do("key", work) == 1
    assert await flight.do("key", work) == 2


async def test_different_keys_do_not_wait_for_each_other():
    flight, slow, fast = SingleFlight[int](), Work(), Work()
    waiting = await together(flight, slow, 1)
    fast.gate.set()
    assert await flight.do("other", fast) == 1
    slow.gate.set()
    await asyncio.gather(*waiting)


async def test_a_caller_that_leaves_takes_nothing_from_the_others():
    flight, work = SingleFlight[int](), Work()
    first, second = await together(flight, work, 2)
    first.cancel()
    work.gate.set()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_failure_is_shared_and_not_kept():
    flight, work = SingleFlight[int](), Work()
    work.error = NotFoundError("gone")
    tasks = await together(flight, work, 3)
    work.gate.set()
    assert all(
        isinstance(each, NotFoundError) for each in await asyncio.gather(*tasks, return_exceptions=True)
    )
    work.error = None
    assert await flight.do("key", work) == 2
