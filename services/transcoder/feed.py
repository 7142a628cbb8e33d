"""The uploaded source as ffmpeg sees it: a URL on loopback with byte ranges, fed from the ring by blocks.

The source never lies on the worker's disk. ffmpeg's HTTP client opens a new connection with `Range: bytes=N-`
wherever it seeks and hangs up when it has had enough, so the server answers open-ended ranges as a stream
whose pace the socket's back-pressure sets. Blocks are cached, since every piece reads the container's index
again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import h11

from services.shared.content import ContentStore
from services.shared.errors import TritonTubeError, UnavailableError
from services.shared.video import Source

log = logging.getLogger(__name__)

_BLOCK_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 16
_MAX_CONNECTIONS: Final = 8
_REQUEST_TIMEOUT_S: Final = 120.0
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)$")


class BlockCache:
    """The latest blocks of sources, bounded in bytes; concurrent requests for one block fetch it once."""

    def __init__(self, content: ContentStore, *, max_bytes: int) -> None:
        self._content = content
        self._max_blocks = max(2, max_bytes // _BLOCK_BYTES)
        self._blocks: OrderedDict[tuple[str, str, int], asyncio.Task[bytes]] = OrderedDict()

    async def block(self, video_id: str, source: Source, number: int) -> bytes:
        """The bytes of block `number` (1 MiB each, the last one shorter), reading the following one ahead.

        Raises:
            TritonTubeError: the ring could not deliver it.
        """
        wanted = self._fetching(video_id, source, number)
        if (number + 1) * _BLOCK_BYTES < source.size_bytes:
            self._fetching(video_id, source, number + 1)
        return await asyncio.shield(wanted)

    def clear(self) -> None:
        """Forget everything and stop fetching."""
        for task in self._blocks.values():
            task.cancel()
        self._blocks.clear()

    def _fetching(self, video_id: str, source: Source, number: int) -> asyncio.Task[bytes]:
        key = (video_id, source.stem, number)
        task = self._blocks.get(key)
        if task is None or (task.done() and task.exception()):
            task = asyncio.create_task(self._fetch(video_id, source, number))
            task.add_done_callback(_seen)  # nobody may wait for what is read ahead
            self._blocks[key] = task
        self._blocks.move_to_end(key)
        self._evict()
        return task

    def _evict(self) -> None:
        # A block still on its way may be awaited; there are at most two of those per connection.
        surplus = max(0, len(self._blocks) - self._max_blocks)
        for key in [key for key, task in self._blocks.items() if task.done()][:surplus]:
            del self._blocks[key]

    async def _fetch(self, video_id: str, source: Source, number: int) -> bytes:
        start = number * _BLOCK_BYTES
        end = min(start + _BLOCK_BYTES, source.size_bytes)
        pieces = []
        while start < end:
            part, offset = divmod(start, source.part_bytes)
            length = min(end - start, source.part_bytes - offset)
            key = f"{video_id}/{source.part_file(part)}"
            data = await self._content.get_bytes(key, offset=offset, length=length)
            if len(data) != length:
                raise UnavailableError(f"{key} is shorter than the source's record says.")
            pieces.append(data)
            start += length
        return b"".join(pieces)


def _seen(fetched: asyncio.Task[bytes]) -> None:
    if not fetched.cancelled():
        fetched.exception()


@dataclass(kw_only=True)
class OfferedSource:
    """A source that can be read at `url` for now."""

    video_id: str
    source: Source
    url: str
    failure: TritonTubeError | None = None

    def check(self) -> None:
        """Make sure that whoever read the source saw all of it.

        A read that broke off looks like the end of the file to ffmpeg, which may then succeed with less. So
        nothing made from a source counts before this was asked.

        Raises:
            UnavailableError: the ring failed to deliver some of it.
        """
        if self.failure is not None:
            raise UnavailableError(f"The source could not be read: {self.failure}") from self.failure


class SourceFeed:
    """Serves sources on loopback, each under a path that cannot be guessed, for as long as it is offered."""

    def __init__(self, cache: BlockCache) -> None:
        self._cache = cache
        self._port = 0
        self._offers: dict[str, OfferedSource] = {}
        self._slots = asyncio.Semaphore(_MAX_CONNECTIONS)

    @classmethod
    @asynccontextmanager
    async def start(
        cls, content: ContentStore, *, cache_bytes: int, listener: socket.socket | None = None
    ) -> AsyncIterator[SourceFeed]:
        """Serve while the context is open, on a free loopback port unless a listener is given.

        Args:
            content: where sources are.
            cache_bytes: memory for their latest blocks.
            listener: of the network namespace in which ffmpeg lives; left open.
        """
        cache = BlockCache(content, max_bytes=cache_bytes)
        feed = cls(cache)
        opened = listener.dup() if listener else socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(feed._connected, sock=opened)
        feed._port = server.sockets[0].getsockname()[1]
        try:
            async with server:
                yield feed
        finally:
            cache.clear()

    @asynccontextmanager
    async def offer(self, video_id: str, source: Source) -> AsyncIterator[OfferedSource]:
        """Make a source readable while the context is open."""
        path = f"/{secrets.token_urlsafe(24)}"
        offer = OfferedSource(video_id=video_id, source=source, url=f"http://127.0.0.1:{self._port}{path}")
        self._offers[path] = offer
        try:
            yield offer
        finally:
            del self._offers[path]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._slots:
            try:
                await self._answer(reader, writer)
            except (ConnectionError, TimeoutError, h11.RemoteProtocolError):
                pass  # ffmpeg hung up: that is how it ends every read
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        request = await _request(connection, reader)
        offer = self._offers.get(request.target.decode("latin-1"))
        span = _span(request, offer.source.size_bytes) if offer else None
        if offer is None or span is None:
            status = 404 if offer is None else 416
            writer.write(connection.send(_head(status, {"Content-Length": "0"})) or b"")
            await writer.drain()
            return
        writer.write(connection.send(_range_head(span, offer.source.size_bytes)) or b"")
        if request.method != b"HEAD":
            await self._stream(connection, writer, offer, span)

    async def _stream(
        self, connection: h11.Connection, writer: asyncio.StreamWriter, offer: OfferedSource, span: range
    ) -> None:
        position = span.start
        while position < span.stop:
            number, skip = divmod(position, _BLOCK_BYTES)
            try:
                block = await self._cache.block(offer.video_id, offer.source, number)
            except TritonTubeError as error:
                log.warning("video %s: reading the source broke off: %s", offer.video_id, error)
                offer.failure = error
                return
            if writer.is_closing():
                return  # hung up while the block was on its way
            data = block[skip : skip + span.stop - position]
            writer.write(connection.send(h11.Data(data=data)) or b"")
            # However slow it is: ffmpeg takes what comes when it has room, and the connection ends with
            # ffmpeg, which has limits of its own. One that we cut off would look like the end of the file.
            await writer.drain()
            position += len(data)


async def _request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request:
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            raise ConnectionError("no request")
        connection.receive_data(await asyncio.wait_for(reader.read(_READ_BYTES), _REQUEST_TIMEOUT_S))


def _span(request: h11.Request, size_bytes: int) -> range | None:
    """The bytes asked for; None where they lie outside the source."""
    header = next(
        (value.decode("latin-1") for name, value in request.headers if name == b"range"), "bytes=0-"
    )
    match = _RANGE.match(header)
    if match is None or int(match[1]) >= size_bytes:
        return None
    last = min(int(match[2]), size_bytes - 1) if match[2] else size_bytes - 1
    return range(int(match[1]), last + 1)


def _head(status: int, headers: dict[str, str]) -> h11.Response:
    return h11.Response(status_code=status, headers=list({**headers, "Connection": "close"}.items()))


def _range_head(span: range, size_bytes: int) -> h11.Response:
    return _head(
        206,
        {
            "Accept-Ranges": "bytes",
            "Content-Length": str(len(span)),
            "Content-Range": f"bytes {span.start}-{span.stop - 1}/{size_bytes}",
            "Content-Type": "application/octet-stream",
        },
    )
