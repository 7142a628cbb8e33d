"""Work is watched over while it lasts: is it still wanted, and still ours?

Events through the broker stop work sooner, and may be lost. What this looks at is the record in etcd that the
right to work hangs on, which is told of within moments, and read again after every outage.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final, NoReturn, TypeVar

from services.shared.errors import UnavailableError
from services.shared.etcd import EtcdClient

T = TypeVar("T")

log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0

Check = Callable[[], Awaitable[object]]
"""Raises what is to end the work."""


class Vigil:
    """Watches over one job at a time, or several."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd

    async def over(self, work: Coroutine[Any, Any, T], *, key: str, check: Check) -> T:
        """Do `work`, and make the `check` whenever `key` changes; what that raises ends the work.

        Returns only once the work has ended, with all that it has to tidy up.
        """
        working = asyncio.create_task(work)
        watching = asyncio.create_task(self._watch(key, check))
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                watching.result()
        finally:
            ended = working.cancel()
            watching.cancel()
            await asyncio.wait({working, watching})
            _look_at(watching)
            error = _look_at(working)
            if ended and error:
                log.warning("work that was ended did not end well: %r", error)
        return working.result()

    async def _watch(self, key: str, check: Check) -> NoReturn:
        while True:
            try:
                await self._follow(key, check)
            except UnavailableError as error:
                log.warning("nobody can tell now whether %s is still wanted: %s", key, error)
                await asyncio.sleep(_RETRY_S)

    async def _follow(self, key: str, check: Check) -> None:
        async with aclosing(self._etcd.follow(key)) as news:
            async for _ in news:
                await check()


def _look_at(task: asyncio.Task[Any]) -> BaseException | None:
    """What a task that is over has raised; one that nobody looks at is reported by asyncio as forgotten."""
    return None if task.cancelled() else task.exception()
