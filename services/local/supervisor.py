"""A stack's children as a whole: started tier by tier, stopped in the opposite order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from services.local.child import Child

Tier = Sequence[Child]
"""Children that do not wait for each other. A tier starts when all of the tier before it are ready."""


class Supervisor:
    """Runs the children of some tiers until it is told to stop."""

    def __init__(self, tiers: Sequence[Tier]) -> None:
        self._tiers = tiers
        self._lives: dict[Child, asyncio.Task[None]] = {}

    @property
    def children(self) -> list[Child]:
        """All children, in the order of their start."""
        return list(chain.from_iterable(self._tiers))

    async def run(self, stop: asyncio.Event, *, ready: Callable[[], None]) -> None:
        """Start everything, call `ready`, and stop everything once `stop` is set (during the start, too).

        Raises:
            UnavailableError: a child does not start; the others have been stopped.
        """
        async with asyncio.TaskGroup() as group:
            try:
                if await self._start(group, stop):
                    ready()
                    await stop.wait()
            finally:
                await self._stop()

    async def _start(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> bool:
        stopped = asyncio.create_task(stop.wait())
        try:
            for tier in self._tiers:
                self._lives.update((child, group.create_task(child.run())) for child in tier)
                if not await _all_ready(tier, stopped):
                    return False
        finally:
            stopped.cancel()
        return True

    async def _stop(self) -> None:
        for tier in reversed(self._tiers):
            for child in tier:
                child.stop()
            lives = [self._lives[child] for child in tier if child in self._lives]
            if lives:
                await asyncio.wait(lives)


async def _all_ready(tier: Tier, stopped: asyncio.Task[Any]) -> bool:
    """Whether all became ready before `stopped`; the first failure is raised at once."""
    ready = asyncio.gather(*(child.until_ready() for child in tier))
    await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        ready.cancel()
        return False
    ready.result()
    return True
