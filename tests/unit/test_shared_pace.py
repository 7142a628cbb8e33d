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
        later = asyncio.Event()
        loop.call_later(60, later.set)
        await later.wait()
        for _ in range(11):
            await pace.take(MB)
        return loop.time() - 60

    assert run(work()) == pytest.approx(1.0)


async def test_a_busy_process_is_left_to_its_work_and_a_free_one_is_used():
    pace = Pace(1000 * MB)

    busy = True

    def hog() -> None:
        until = monotonic() + 0.05
        while monotonic() < until:
            pass
        if busy:
            asyncio.get_running_loop().call_soon(hog)

    hog()
    async with asyncio.timeout(60):
        while pace.share > LEAST_SHARE:
            await pace.take(1)
        busy = False
        while pace.share < 1:
            await pace.take(1)
