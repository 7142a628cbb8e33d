"""`/content/{id}/{file}`: what players read. A bare ASGI application, since this path carries the load.

GET and HEAD, ranges, entity tags, and CORS for players on other sites. Media has names of its own for every
content and may be kept for ever; manifests stand for the newest state and are asked for again each time. What
is downloaded has names of its own, `download/…`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from services.shared.errors import NotFoundError, TritonTubeError
from services.shared.telemetry import Counter
from services.shared.video import check_video_id
from services.web import conditions, download, problems
from services.web.cache import Content
from services.web.download import Downloadable
from services.web.files import REVALIDATE, kind_of
from services.web.ranges import ByteRange, parse_ranges
from services.web.server import Receive, Scope, Send

log = logging.getLogger(__name__)

PREFIX: Final = "/content/"

Header = tuple[bytes, bytes]
Chunks = AsyncGenerator[bytes, None]
Stream = Callable[[str, ByteRange], Chunks]
"""Reads a part of a file from the ring."""

Find = Callable[[str, str], Coroutine[Any, Any, Content]]
"""Gives a file, or the newest state of a manifest, by video id and name."""

FindDownload = Callable[[str, str], Coroutine[Any, Any, Downloadable]]
"""Gives what can be downloaded, by video id and name."""

_METHODS: Final = b"GET, HEAD, OPTIONS"
_ALWAYS: Final[tuple[Header, ...]] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Accept-Ranges, Content-Length, Content-Range, Date, ETag"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"accept-ranges", b"bytes"),
)
_PREFLIGHT: Final[tuple[Header, ...]] = (
    (b"access-control-allow-methods", _METHODS),
    (b"access-control-allow-headers", b"If-None-Match, If-Range, Range"),
    (b"access-control-max-age", b"86400"),
    (b"content-length", b"0"),
)
_CONDITIONS: Final = frozenset({b"range", b"if-range", b"if-none-match"})
_ANSWERS: Final = Counter("tritontube_content_answers_total", "Answers to players by status.", ["status"])
_SENT: Final = Counter("tritontube_content_bytes_total", "Bytes of media and manifests sent to players.")


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """A response; its body is in memory or comes as a stream."""

    status: HTTPStatus
    headers: tuple[Header, ...]
    body: bytes | Chunks = b""


@dataclass(frozen=True, kw_only=True)
class _File:
    """A file to be served."""

    content: Content
    type: str
    """Its Content-Type."""
    cache_control: str
    read: Callable[[ByteRange], Chunks]
    """Gives a part of what is not held."""
    disposition: str = ""

    @property
    def headers(self) -> tuple[Header, ...]:
        """What is said about it in every answer."""
        etag, keep = self.content.etag.encode(), self.cache_control.encode()
        disposed = ((b"content-disposition", self.disposition.encode()),) if self.disposition else ()
        return (*_ALWAYS, (b"etag", etag), (b"cache-control", keep), *disposed)

    @property
    def media_type(self) -> bytes:
        """The same for the wire."""
        return self.type.encode()


class Playback:
    """The application behind `/content/`."""

    def __init__(self, *, file: Find, stream: Stream, manifest: Find, download: FindDownload) -> None:
        self._file = file
        self._stream = stream
        self._manifest = manifest
        self._download = download

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer = await self._answer(scope)
        _ANSWERS.labels(answer.status.value).inc()
        await send({"type": "http.response.start", "status": answer.status.value, "headers": answer.headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
        elif isinstance(answer.body, bytes):
            await send({"type": "http.response.body", "body": answer.body})
            _SENT.inc(len(answer.body))
        else:
            await _send_stream(answer.body, receive, send)

    async def _answer(self, scope: Scope) -> _Answer:
        method = scope["method"]
        if method == "OPTIONS":
            return _Answer(status=HTTPStatus.NO_CONTENT, headers=(*_ALWAYS, *_PREFLIGHT))
        if method not in {"GET", "HEAD"}:
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Content is only for reading.")
        try:
            file = await self._find(scope["path"])
            return self._conditional(file, _wanted(scope["headers"], method))
        except TritonTubeError as error:
            problem = problems.problem_of(error)
            if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                log.warning("%s %s: %d: %s", method, scope["path"], problem.status, error)
            return _problem(problem)

    async def _find(self, path: str) -> _File:
        video_id, _, name = path.removeprefix(PREFIX).partition("/")
        _check_form(video_id)
        if name.startswith(download.PREFIX):
            return _taken_away(await self._download(video_id, name.removeprefix(download.PREFIX)))
        kind = kind_of(name)
        find = self._manifest if kind.is_manifest else self._file
        return _File(
            content=await find(video_id, name),
            type=kind.media_type,
            cache_control=kind.cache_control,
            read=partial(self._stream, f"{video_id}/{name}"),
        )

    def _conditional(self, file: _File, wanted: dict[bytes, str]) -> _Answer:
        etag = file.content.etag
        if conditions.is_known(wanted.get(b"if-none-match"), etag):
            return _Answer(status=HTTPStatus.NOT_MODIFIED, headers=file.headers)
        ranges: tuple[ByteRange, ...] = ()
        if b"range" in wanted and conditions.allows_range(wanted.get(b"if-range"), etag):
            ranges = parse_ranges(wanted[b"range"], file.content.size_bytes)
        if not ranges:
            return self._whole(file)
        return self._part(file, ranges[0]) if len(ranges) == 1 else self._parts(file, ranges)

    def _whole(self, file: _File) -> _Answer:
        size_bytes = file.content.size_bytes
        return _Answer(
            status=HTTPStatus.OK,
            headers=(*file.headers, (b"content-type", file.media_type), _length(size_bytes)),
            body=self._bytes(file, ByteRange(start=0, end=size_bytes)),
        )

    def _part(self, file: _File, wanted: ByteRange) -> _Answer:
        described = (
            (b"content-type", file.media_type),
            (b"content-range", wanted.content_range(file.content.size_bytes).encode()),
            _length(wanted.length),
        )
        return _Answer(
            status=HTTPStatus.PARTIAL_CONTENT,
            headers=(*file.headers, *described),
            body=self._bytes(file, wanted),
        )

    def _parts(self, file: _File, ranges: tuple[ByteRange, ...]) -> _Answer:
        boundary = secrets.token_hex(16).encode()
        heads = [_part_head(boundary, file, wanted) for wanted in ranges]
        tail = b"\r\n--%s--\r\n" % boundary
        size_bytes = sum(map(len, heads)) + sum(wanted.length for wanted in ranges) + len(tail)
        described = (
            (b"content-type", b"multipart/byteranges; boundary=" + boundary),
            _length(size_bytes),
        )
        return _Answer(
            status=HTTPStatus.PARTIAL_CONTENT,
            headers=(*file.headers, *described),
            body=self._joined(file, heads, ranges, tail),
        )

    async def _joined(
        self, file: _File, heads: list[bytes], ranges: tuple[ByteRange, ...], tail: bytes
    ) -> Chunks:
        for head, wanted in zip(heads, ranges, strict=True):
            yield head
            part = self._bytes(file, wanted)
            if isinstance(part, bytes):
                yield part
                continue
            async with aclosing(part):
                async for chunk in part:
                    yield chunk
        yield tail

    def _bytes(self, file: _File, wanted: ByteRange) -> bytes | Chunks:
        data = file.content.data
        if data is None:
            return file.read(wanted)
        return data if wanted.length == len(data) else data[wanted.start : wanted.end]


def _wanted(headers: list[Header], method: str) -> dict[bytes, str]:
    """The headers that change the answer. Ranges are defined for GET only."""
    relevant = _CONDITIONS if method == "GET" else _CONDITIONS - {b"range"}
    return {name: value.decode("latin-1") for name, value in headers if name in relevant}


def _length(size_bytes: int) -> Header:
    return (b"content-length", str(size_bytes).encode())


def _taken_away(found: Downloadable) -> _File:
    return _File(
        content=found.content,
        type=found.media_type,
        cache_control=REVALIDATE,  # its name goes with the title
        read=found.stream,
        disposition=found.disposition,
    )


def _check_form(video_id: str) -> None:
    try:
        check_video_id(video_id)
    except TritonTubeError as error:
        raise NotFoundError("There is no such video.") from error


def _part_head(boundary: bytes, file: _File, wanted: ByteRange) -> bytes:
    return b"\r\n--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n" % (
        boundary,
        file.media_type,
        wanted.content_range(file.content.size_bytes).encode(),
    )


def _refusal(status: HTTPStatus, detail: str) -> _Answer:
    return _problem(problems.Problem(status=status, detail=detail, headers={"Allow": _METHODS.decode()}))


def _problem(problem: problems.Problem) -> _Answer:
    body = problem.encode()
    extra = tuple((name.lower().encode(), value.encode()) for name, value in problem.headers.items())
    described = (
        (b"content-type", problems.MEDIA_TYPE.encode()),
        (b"cache-control", b"no-store"),
        _length(len(body)),
    )
    return _Answer(status=HTTPStatus(problem.status), headers=(*_ALWAYS, *described, *extra), body=body)


async def _send_stream(chunks: Chunks, receive: Receive, send: Send) -> None:
    """Send chunk by chunk while the client listens; Granian's `send` does not tell when it has gone."""
    gone = asyncio.create_task(_disconnected(receive))
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                _SENT.inc(len(chunk))
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
