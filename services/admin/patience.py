"""How long an operator's question may take: a sentence in time is worth more than an answer too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.shared.errors import UnavailableError

_LIMIT_S: Final = 10.0
"""Shorter than clients wait; longer than it takes to find out that a storage node does not answer."""

_TOO_LONG: Final = "etcd, or a storage node, did not answer in time: ask again later."


@asynccontextmanager
async def patience(limit_s: float = _LIMIT_S) -> AsyncIterator[None]:
    """Do what is inside within the limit.

    Raises:
        UnavailableError: it took too long, and was cancelled.
    """
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise UnavailableError(_TOO_LONG) from error
