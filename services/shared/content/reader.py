"""Reading a file: from whichever copy can be had, and from another one when that breaks off."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from services.shared.content.files import StoredFile
from services.shared.content.nodes import Download
from services.shared.errors import CorruptFileError, UnavailableError
from services.shared.telemetry import Counter

log = logging.getLogger(__name__)

_MAX_BREAKS: Final = 10
"""Streams in a row that ended without a byte."""

_RESUMED: Final = Counter("tritontube_content_reads_resumed_total", "Reads that went on from another copy.")

Resume = Callable[[int, str], Awaitable[Download]]
"""Begins a download of the range's rest at an offset, from some other node than the named one if possible."""


class ContentReader:
    """A file, or a range of it, being read: iterate over it once, inside its context, for its chunks.

    A stream that breaks or stalls is resumed at its offset from another copy. Each node checks its blocks
    before it sends them; a file that is read as a whole is checked here too, against its SHA-256, before its
    last chunk is handed out.

    Iterating raises `UnavailableError` when no copy can be had any more, `CorruptFileError` when the content
    is not what was stored, and `NotFoundError` when the file has been deleted meanwhile.
    """

    def __init__(self, download: Download, *, offset: int, end: int, resume: Resume) -> None:
        self._download = download
        self._offset = offset
        self._end = end
        self._resume = resume
        self.file: StoredFile = download.file

    @property
    def size_bytes(self) -> int:
        """How much will be read: less than asked for where the file ends before."""
        return self._end - self._offset

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """The range's bytes, in chunks."""
        digest = hashlib.sha256()
        offset, breaks = self._offset, 0
        while offset < self._end:
            chunk = (await self._next())[: self._end - offset]
            if chunk:
                breaks = 0
                offset += len(chunk)
                digest.update(chunk)
                self._check(digest.hexdigest, offset)
                yield chunk
            else:
                breaks += 1
                await self._change_over(offset, breaks)

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop reading."""
        self._download.close()

    async def _next(self) -> bytes:
        """The next chunk; empty where the stream gave out."""
        try:
            return await self._download.read()
        except (UnavailableError, CorruptFileError) as error:
            log.info("reading %s goes on from another copy: %s", self.file.key, error)
            return b""

    async def _change_over(self, offset: int, breaks: int) -> None:
        self._download.close()
        if breaks > _MAX_BREAKS:
            raise UnavailableError(f"Reading {self.file.key} broke off too often.")
        _RESUMED.inc()
        self._download = await self._resume(offset, self._download.node)
        if self._download.file != self.file:
            raise CorruptFileError(f"The copies of {self.file.key} differ.")

    def _check(self, sha256: Callable[[], str], offset: int) -> None:
        whole = self._offset == 0 and offset == self.file.size_bytes
        if whole and sha256() != self.file.sha256:
            raise CorruptFileError(f"{self.file.key} did not arrive as it was stored.")
