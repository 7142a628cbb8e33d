"""A connection that carries file contents, in frames: a small message, with raw bytes beside it.

::

    4 bytes    length of the message, big-endian, at most 64 KiB
    4 bytes    length of the body, big-endian, at most 1 MiB
    message    of protobuf
    body       a piece of a file, or nothing

The body goes from the kernel straight into the buffer that is hashed and written, and from the buffer that
was read straight to the kernel: no message is built around it, and none is parsed. What nobody asks for stays
in the kernel, and holds up the sender.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from services.shared.errors import UnavailableError

MAX_BODY_BYTES: Final = 1 << 20
_MAX_MESSAGE_BYTES: Final = 64 << 10
_PREFIX: Final = struct.Struct(">II")


class Head(NamedTuple):
    """The beginning of a frame."""

    message: bytes
    body_bytes: int
    """How much follows. It has to be taken with `Connection.body` before the next head."""


class Connection(asyncio.BufferedProtocol):
    """One end of a connection: one task reads, one writes.

    Its calls raise `UnavailableError` once the connection is lost. One that was cancelled or failed in the
    middle of a frame is of no more use: close it.
    """

    def __init__(self, on_made: Callable[[Connection], None] = lambda _: None) -> None:
        self._on_made = on_made
        self._transport: asyncio.Transport | None = None
        self._target = bytearray(_PREFIX.size)
        """What is read next: between two frames the lengths of the coming one."""
        self._filled = 0
        self._full: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self.lost = False

    # ---- frames ----

    async def head(self) -> Head | None:
        """The next frame's beginning; None: the other end has closed the connection, between two frames.

        Raises:
            UnavailableError: the connection broke, or what came is no frame.
        """
        try:
            prefix = await self._read(then=None)
        except UnavailableError:
            if self._filled:
                raise
            return None
        message_bytes, body_bytes = _PREFIX.unpack(prefix)
        if message_bytes > _MAX_MESSAGE_BYTES or body_bytes > MAX_BODY_BYTES:
            self.close()
            raise UnavailableError("What arrived does not belong to the protocol for file contents.")
        self._aim_at(message_bytes)
        message = await self._read(then=body_bytes or _PREFIX.size)
        return Head(bytes(message), body_bytes)

    async def body(self, head: Head) -> bytearray:
        """The rest of a frame.

        Raises:
            UnavailableError: the connection broke.
        """
        return await self._read(then=_PREFIX.size) if head.body_bytes else bytearray()

    async def send(self, message: bytes, body: bytes | bytearray | memoryview = b"") -> None:
        """Send a frame. Returns once the kernel has taken all of it.

        Raises:
            UnavailableError: the connection broke.
        """
        transport = self._open_transport()
        prefix = _PREFIX.pack(len(message), len(body))
        transport.writelines([prefix + message, body] if body else [prefix + message])
        if self._writable:
            await self._writable

    def close(self) -> None:
        """End the connection. What `send` has not returned from is dropped."""
        if self._transport:
            self._transport.abort()

    # ---- reading ----

    async def _read(self, *, then: int | None) -> bytearray:
        """What is being read, once all of it is here; after it, so many bytes come (None: not known yet)."""
        if self._filled < len(self._target):
            self._open_transport()
            self._full = asyncio.get_running_loop().create_future()
            await self._full
        found = self._target
        if then is not None:
            self._aim_at(then)
        return found

    def _aim_at(self, size_bytes: int) -> None:
        """Read so much next, from now on."""
        self._target, self._filled = bytearray(size_bytes), 0
        if size_bytes and self._transport and not self._transport.is_closing():
            self._transport.resume_reading()

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise UnavailableError("The connection is closed.")
        return self._transport

    # ---- what the event loop calls ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)
        self._on_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - we know better how much comes
        """Where the next bytes go."""
        return memoryview(self._target)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come. What follows stays in the kernel until it is known what it is."""
        self._filled += nbytes
        if self._filled == len(self._target) and self._transport:
            self._transport.pause_reading()
            _settle(self._full)

    def eof_received(self) -> bool:
        """The other end sends nothing more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self.lost = True
        error = UnavailableError(f"The connection broke{f': {exc}' if exc else ''}.")
        for waiting in (self._full, self._writable):
            if waiting and not waiting.done():
                waiting.set_exception(error)

    def pause_writing(self) -> None:
        """The kernel takes no more for now."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It does again."""
        _settle(self._writable)
        self._writable = None


def _settle(waiting: asyncio.Future[None] | None) -> None:
    if waiting and not waiting.done():
        waiting.set_result(None)
