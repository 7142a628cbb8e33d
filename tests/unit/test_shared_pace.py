"""How fast background work may go."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from services.shared.pace import LEAST_SHARE, Pace
from tests.simulation.clock import run

MB = 1_000_000


def test_everybody_together_moves_so_many_bytes_per_second():
    async def work() -> float:
        pace, loop = Pace(10 * MB), asyncio.get_running_loop()
        await asyncio.gather(*(pace.take(MB) for _ in range(51)))
        return loop.time()

    assert run(work()) == pytest.approx(5.0)


def test_nothing_is_saved_up_while_nobody_asks():
    async def work() -> float:
        pace, loop = Pace(10 * MB), asyncio.get_running_loop()
        await pace.take(MB)
        await asyncio.sleep(60)
        for _ in range(11):
            await pace.take(MB)
        return loop.time() - 60

    assert run(work()) == pytest.approx(1.0)


async def test_a_busy_process_is_left_to_its_work_and_a_free_one_is_used():
    pace = Pace(1000 * MB)

    async def hog() -> None:
        while True:
            until = monotonic() + 0.05
            while monotonic() < until:
                pass
            await asyncio.sleep(0)

    busy = asyncio.create_task(hog())
    while pace.share > LEAST_SHARE:
        await pace.take(1)
    busy.cancel()
    await asyncio.wait([busy])
    async with asyncio.timeout(60):
        while pace.share < 1:
            await pace.take(1)
