"""Blocking work off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import ParamSpec, Protocol, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Closable(Protocol):
    """Something to be closed, by a call that may block."""

    @property
    def closed(self) -> bool:
        """Whether it was let go already."""

    def close(self) -> None:
        """Let it go."""


C = TypeVar("C", bound=Closable)


class Threads:
    """A fixed number of threads for the disk.

    A thread can't be cancelled: where its caller is, the caller still waits for it to end, so that nothing is
    taken away from under it.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="disk")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a blocking function and return its result."""
        return await _to_the_end(self._start(partial(function, *args, **kwargs)))

    @asynccontextmanager
    async def holding(self, opener: Callable[P, C], *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[C]:
        """Open something, hold it for the context, close it whatever happens unless that has been done."""
        future = self._start(partial(opener, *args, **kwargs))
        try:
            yield await _to_the_end(future)
        finally:
            if not future.exception() and not future.result().closed:
                await self.run(future.result().close)

    def _start(self, call: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, call)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()


async def _to_the_end(future: asyncio.Future[T]) -> T:
    """Wait for the result. A cancellation, were it the second one, takes effect after that."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled
    return future.result()
