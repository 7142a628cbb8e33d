"""Files of the ring as playback wants them: small ones whole, large ones as streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from services.shared.content import ContentStore
from services.shared.settings import MIB
from services.web.cache import Content
from services.web.conditions import etag_of
from services.web.ranges import ByteRange

MAX_HELD_BYTES: Final = 8 * MIB
"""Larger files are streamed: four seconds of 16 Mbit/s are below it."""


class RingFiles:
    """Reads files for players."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    async def load(self, key: str) -> Content:
        """A file, with its data unless it is large. The reader has checked it against its SHA-256.

        Raises:
            NotFoundError: there is no such file.
            UnavailableError: the ring could not be asked.
            CorruptFileError: what came is not what was stored.
        """
        async with await self._store.open(key) as reader:
            size_bytes, etag = reader.file.size_bytes, etag_of(reader.file.sha256)
            if size_bytes > MAX_HELD_BYTES:
                return Content(size_bytes=size_bytes, etag=etag, data=None)
            data = b"".join([chunk async for chunk in reader])
        return Content(size_bytes=size_bytes, etag=etag, data=data)

    async def stream(self, key: str, wanted: ByteRange) -> AsyncGenerator[bytes, None]:
        """A part of a file, chunk by chunk.

        Raises:
            UnavailableError: no copy could be read to the end.
        """
        reader = await self._store.open(key, offset=wanted.start, length=wanted.length)
        async with reader, aclosing(aiter(reader)) as chunks:
            async for chunk in chunks:
                yield chunk
