"""One piece of work for all who want its result at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class SingleFlight(Generic[V]):
    """Runs at most one piece of work per key at any time; who comes meanwhile shares its result.

    The work belongs to nobody: a caller that goes away does not take the result from the others. What it may
    cost is for the work itself to bound.
    """

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[V]] = {}

    async def do(self, key: str, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The result of `work`, or of the work under the same key that is running already.

        Raises:
            Exception: whatever that work raises.
        """
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(work(), name=f"fetch {key}")
            self._running[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(task)

    def _finished(self, key: str, task: asyncio.Task[V]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it where all callers have left
