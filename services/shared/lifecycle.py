"""How every service starts, runs and stops.

A service's `__main__` hands `run` one coroutine function, its composition root. That opens resources with
`async with`, runs its background work in a TaskGroup, and returns when the stop event is set. A background
task that dies takes the process down with a message: a half-alive service is worse than a restarted one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from services.shared.errors import TritonTubeError

log = logging.getLogger(__name__)

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Run a service until SIGTERM or SIGINT sets its stop event; a second signal ends the process at once.

    Returns:
        The exit code: 0 after a clean stop, 1 when the service failed (the reason is logged).
    """
    try:
        uvloop.run(_supervised(main))
    except BaseExceptionGroup as group:
        for error in _leaves(group):
            _report(error)
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the last place where it can be said why
        _report(error)
        return EXIT_FAILED
    return EXIT_DONE


@asynccontextmanager
async def background(*coroutines: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Run coroutines beside the body: one that fails ends the body, the body's end cancels them."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def heed_cancellation() -> None:
    """Raise CancelledError if the current task has been told to end.

    For whoever goes on after a TaskGroup failed: on Python 3.11 a group that is cancelled from outside while
    a task of it fails raises only the failure, and the cancellation would be lost.
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


async def drained(work: Coroutine[Any, Any, None], stop: asyncio.Event, *, timeout_s: float) -> None:
    """Run work that ends by itself once `stop` is set; cancel it if that takes longer than `timeout_s`.

    Raises:
        Exception: whatever the work raised.
    """
    task = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({task}, timeout=timeout_s)
    finally:
        stopping.cancel()
        unfinished = task.cancel()
        await asyncio.wait({task})
    if not (unfinished and task.cancelled()):
        task.result()


async def _supervised(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, number)
    await main(stop)


def _on_signal(stop: asyncio.Event, number: signal.Signals) -> None:
    if stop.is_set():
        log.warning("%s again: ending now", number.name)
        os._exit(EXIT_FAILED)
    log.info("%s: stopping", number.name)
    stop.set()


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


def _report(error: BaseException) -> None:
    expected = isinstance(error, (TritonTubeError, OSError))
    log.critical("stopped: %s", error or type(error).__name__, exc_info=None if expected else error)
