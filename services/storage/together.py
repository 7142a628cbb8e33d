"""Several things at the same time, with the one error that matters."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def together(*coroutines: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines at the same time and return their results in order.

    Not a TaskGroup: one that is cancelled from outside while a task of it fails raises only the failure, and
    whoever catches that would go on although it was told to end.

    Raises:
        Exception: the first one that any of them raised; the others are cancelled, and over by then.
    """
    if not coroutines:
        return []
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
    return [task.result() for task in tasks]
