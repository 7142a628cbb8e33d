"""An event loop whose clock jumps to the next event: a minute of waiting takes no time."""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class StuckError(AssertionError):
    """Everybody waits for somebody else, and no timer is set."""


class _Clock(selectors.SelectSelector):
    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing ever comes from outside: let the time pass instead."""
        if timeout is None:
            raise StuckError("nothing will ever happen again")
        self.now_s += max(0.0, timeout)
        return []


class _NumberedTask(asyncio.Task[Any]):
    """Its hash is its number, not its address: a set of tasks has the same order in every run."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, number: int, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs whatever is due, then skips to when something is due again."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)
        numbers = itertools.count()
        self.set_task_factory(
            lambda loop, coro, **options: _NumberedTask(coro, number=next(numbers), loop=loop, **options)
        )

    def time(self) -> float:
        """Seconds since the run began."""
        return self._clock.now_s

    def run_in_executor(
        self,
        executor: object,  # noqa: ARG002 - there is none
        func: Callable[..., T],
        *args: object,
    ) -> asyncio.Future[T]:
        """Do at once what else a thread would do: it could not tell us when it is done."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            done.set_exception(error)
        return done


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        leftovers = asyncio.all_tasks(loop)
        for task in leftovers:
            task.cancel()
        if leftovers:
            loop.run_until_complete(asyncio.gather(*leftovers, return_exceptions=True))
        loop.close()
