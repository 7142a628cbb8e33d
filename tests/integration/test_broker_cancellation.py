"""Work with the broker ends when it is told to, whatever is under way at that moment."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from services.shared.broker.faults import rpc
from services.shared.broker.link import Link
from services.shared.errors import UnavailableError

TRIALS = 120
STEP_S = 0.0002
DEADLINE_S = 20.0


async def work_for_ever(link: Link) -> None:
    while True:
        with suppress(UnavailableError):
            async with link.channel() as channel, rpc("Declaring a queue"):
                await channel.declare_queue("cancelled", auto_delete=True)


async def test_a_cancellation_counts_at_whatever_moment_it_comes(amqp_url: str) -> None:
    link = Link(amqp_url, name="cancelled")
    for trial in range(TRIALS):
        work = asyncio.create_task(work_for_ever(link))
        await asyncio.wait([work], timeout=trial * STEP_S)
        work.cancel()
        await asyncio.wait([work], timeout=DEADLINE_S)
        assert work.cancelled(), f"cancelled after {trial * STEP_S:.4f} s, it goes on"
    await link.close()
