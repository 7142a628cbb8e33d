"""An upload by a single request, on its way into the ring: measured, hashed and cut into parts."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

from services.shared.content import ContentStore
from services.shared.errors import TooLargeError
from services.shared.filenames import source_part_file
from services.shared.telemetry import Counter
from services.shared.video import Source
from services.web import sniff
from services.web.parts import Parts
from services.web.wording import size

RECEIVED: Final = Counter("tritontube_upload_bytes_total", "Bytes of originals received.")


class Intake:
    """Takes one file. Closing it before `finish` stops whatever is still being stored."""

    def __init__(
        self,
        *,
        store: ContentStore,
        announce: Callable[[], Awaitable[None]],
        video_id: str,
        part_bytes: int,
        max_bytes: int,
    ) -> None:
        """`announce` is called before the first byte goes into the ring."""
        self._announce = announce
        self._part_bytes = part_bytes
        self._max_bytes = max_bytes
        self._head = b""
        self._parts = Parts(
            store=store, key=lambda number: f"{video_id}/{source_part_file(number)}", part_bytes=part_bytes
        )
        self._size_bytes = 0
        self._hash = hashlib.sha256()

    async def aclose(self) -> None:
        """Make sure that nothing is being stored any more."""
        await self._parts.aclose()

    async def write(self, data: memoryview) -> None:
        """Take more bytes.

        Raises:
            TooLargeError: the file is larger than allowed.
            UnsupportedMediaError: it is obviously not a video.
            UnavailableError: the ring does not take it, or is full (`OutOfSpaceError`).
        """
        self._size_bytes += len(data)
        if self._size_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        self._hash.update(data)
        RECEIVED.inc(len(data))
        if self._parts.begun:
            await self._parts.write(data)
            return
        self._head += data
        if len(self._head) >= sniff.HEAD_BYTES:
            await self._begin()

    async def finish(self) -> Source:
        """Store what is left; everything is in the ring then.

        Raises:
            UnsupportedMediaError: it is obviously not a video.
            UnavailableError: the ring does not take it, or is full (`OutOfSpaceError`).
        """
        if not self._parts.begun:
            await self._begin()
        await self._parts.finish()
        return Source(
            size_bytes=self._size_bytes,
            sha256=self._hash.hexdigest(),
            part_bytes=self._part_bytes,
            parts=self._parts.begun,
        )

    async def _begin(self) -> None:
        sniff.refuse_obvious(self._head[: sniff.HEAD_BYTES])
        await self._announce()
        await self._parts.write(memoryview(self._head))
        self._head = b""


def too_large(max_bytes: int) -> TooLargeError:
    """What is said to a file over the limit."""
    return TooLargeError(f"The file is too large: this server takes up to {size(max_bytes)}.")
