"""Pipes that a child process writes into and that we read without blocking."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from typing import Final

_BUFFER_BYTES: Final = 256 * 1024


class Pipe:
    """A pipe from a child process to us."""

    def __init__(self) -> None:
        self._read_fd, self.write_fd = os.pipe()

    @property
    def url(self) -> str:
        """How ffmpeg calls the end that it writes into."""
        return f"pipe:{self.write_fd}"

    def close_write_end(self) -> None:
        """Leave that end to the child alone, so that the pipe ends with it."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    async def reader(self) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
        """The read end, now owned by the transport that comes with it."""
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader(limit=_BUFFER_BYTES)
        file = os.fdopen(self._read_fd, "rb", buffering=0)
        self._read_fd = -1
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), file)
        return stream, transport

    def close(self) -> None:
        """Close what is still ours."""
        self.close_write_end()
        if self._read_fd >= 0:
            os.close(self._read_fd)
            self._read_fd = -1


@contextlib.contextmanager
def open_pipes(count: int) -> Iterator[list[Pipe]]:
    """So many pipes, closed with the context as far as nobody has taken them over."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Pipe())) for _ in range(count)]
