"""One program's output as another one's input."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from services.transcoder.process import Chunks, Limits, run

_CHUNKS_AHEAD: Final = 8


@asynccontextmanager
async def piped(arguments: Sequence[str], *, limits: Limits) -> AsyncIterator[Chunks]:
    """A program for whose result another one waits: its standard output, a few chunks ahead of the reader.

    Leaving the context ends it. What it fails with, as in `run`, the reader gets in place of the end.
    """
    made = asyncio.Queue[bytes | Exception | None](_CHUNKS_AHEAD)

    async def keep(chunks: Chunks) -> None:
        async for chunk in chunks:
            await made.put(chunk)

    async def make() -> None:
        try:
            await run(arguments, keep, limits=limits)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            await made.put(error)
        else:
            await made.put(None)

    async def read() -> Chunks:
        while isinstance(got := await made.get(), bytes):
            yield got
        if got is not None:
            raise got

    making = asyncio.create_task(make())
    try:
        yield read()
    finally:
        making.cancel()
        await asyncio.wait({making})
