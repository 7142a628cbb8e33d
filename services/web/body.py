"""The body of a request as it comes, from a client that may have gone without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import Request


async def body_of(request: Request, *, idle_timeout_s: float) -> AsyncGenerator[bytes, None]:
    """Give a body as it comes; a client that falls silent is one that has gone.

    Raises:
        ClientDisconnect: it has hung up.
        HTTPException: 408, nothing came for `idle_timeout_s`.
    """
    chunks = aiter(request.stream())
    while (chunk := await _next(chunks, idle_timeout_s)) is not None:
        yield chunk


async def _next(chunks: AsyncIterator[bytes], idle_timeout_s: float) -> bytes | None:
    try:
        async with asyncio.timeout(idle_timeout_s):
            return await anext(chunks, None)
    except TimeoutError as error:
        raise HTTPException(408, "The upload stood still for too long.") from error
