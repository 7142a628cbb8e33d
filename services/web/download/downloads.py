"""What can be downloaded of a video: each rendition as one MP4 file, and the original while it is kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from services.shared.catalog import Catalog, WorkBook
from services.shared.content import ContentStore
from services.shared.errors import ConflictError, CorruptFileError, NotFoundError
from services.shared.video import Source, Status, Video
from services.web.cache import Content
from services.web.conditions import etag_of
from services.web.download.containers import HEAD_BYTES, suffix_of
from services.web.download.movie import Movie, Part
from services.web.download.movies import Movies, Wanted
from services.web.ranges import ByteRange

PREFIX: Final = "download/"
"""Of the names under `/content/{id}/` that are downloads."""

ORIGINAL: Final = "original"

_MOVIE: Final = re.compile(r"(?P<rendition>[a-z0-9-]+)\.mp4")
_PLAIN: Final = re.compile(r"[^A-Za-z0-9 ._()-]")
_ANY_KIND: Final = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Downloadable:
    """A file that can be downloaded, in any part of it."""

    content: Content
    media_type: str
    file_name: str
    """What to call it on disk."""
    video_id: str
    parts: Movie | _Original
    store: ContentStore

    @property
    def disposition(self) -> str:
        """Value of the Content-Disposition header (RFC 6266): with a name for old programs, too."""
        plain = _PLAIN.sub("_", self.file_name)
        return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(self.file_name, safe='')}"

    async def stream(self, wanted: ByteRange) -> AsyncGenerator[bytes, None]:
        """A part of the file, chunk by chunk, in constant memory.

        Raises:
            NotFoundError: the video was deleted meanwhile.
            UnavailableError: the ring could not deliver it.
            CorruptFileError: a file in the ring is shorter than it was.
        """
        for part in self.parts.parts(wanted):
            if isinstance(part, bytes):
                yield part
                continue
            async with aclosing(self._read(part)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _read(self, part: Part) -> AsyncGenerator[bytes, None]:
        key = f"{self.video_id}/{part.file}"
        reader = await self.store.open(key, offset=part.wanted.start, length=part.wanted.length)
        if reader.size_bytes != part.wanted.length:
            raise CorruptFileError(f"{key} is shorter than it was.")
        async with reader, aclosing(aiter(reader)) as chunks:
            async for chunk in chunks:
                yield chunk


@dataclass(frozen=True, kw_only=True)
class _Original:
    """The uploaded file, which lies in the ring in parts."""

    source: Source

    def parts(self, wanted: ByteRange) -> list[Part]:
        """What a range of it consists of, in order."""
        step = self.source.part_bytes
        found = []
        for number in range(wanted.start // step, -(-wanted.end // step)):
            start, end = max(wanted.start - number * step, 0), min(wanted.end - number * step, step)
            found.append(Part(file=self.source.part_file(number), wanted=ByteRange(start=start, end=end)))
        return found


class Downloads:
    """Finds what can be downloaded."""

    def __init__(self, *, catalog: Catalog, book: WorkBook, store: ContentStore) -> None:
        self._catalog = catalog
        self._book = book
        self._store = store
        self._movies = Movies(store)

    async def find(self, video_id: str, name: str) -> Downloadable:
        """The file that stands behind a name: `original`, or a rendition's with the suffix `.mp4`.

        Raises:
            NotFoundError: there is no such video or file.
            ConflictError: it is not finished.
            UnavailableError: etcd or the ring could not be asked.
        """
        video = await self._catalog.get(video_id)
        if name == ORIGINAL:
            return await self._original(video)
        found = _MOVIE.fullmatch(name)
        if found is None:
            raise NotFoundError("There is no such file.")
        return await self._movie(video, found["rendition"])

    def forget(self, video_id: str) -> None:
        """Let go of what is held of a video."""
        self._movies.forget(video_id)

    async def _movie(self, video: Video, name: str) -> Downloadable:
        wanted = await self._wanted(video, name)
        movie = await self._movies.get(wanted)
        # The head lists the size of every sample: two movies that share it differ in nothing but the video.
        digest = hashlib.sha256(wanted.key.encode() + movie.head).hexdigest()
        content = Content(size_bytes=movie.size_bytes, etag=etag_of(digest), data=None)
        return Downloadable(
            content=content,
            media_type="video/mp4",
            file_name=f"{video.title} ({name}).mp4",
            video_id=video.id,
            parts=movie,
            store=self._store,
        )

    async def _wanted(self, video: Video, name: str) -> Wanted:
        rendition = next((r for r in video.renditions if r.name == name), None)
        if rendition is None:
            raise NotFoundError(f"This video has no quality {name}.")
        plan = await self._book.plan(video.id, video.generation)
        available = await self._catalog.availability(video.id)
        if video.status is not Status.READY or plan is None or available is None:
            raise ConflictError("This video can be downloaded when it has been processed.")
        return Wanted(video_id=video.id, plan=plan, available=available, rendition=rendition)

    async def _original(self, video: Video) -> Downloadable:
        source = video.source
        if video.refused:
            raise NotFoundError("The original was no video that can be played, and is gone.")
        if video.original_dropped:
            raise NotFoundError("The original of this video was not kept.")
        key = f"{video.id}/{source.part_file(0)}"
        head = await self._store.get_bytes(key, length=min(HEAD_BYTES, source.size_bytes))
        return Downloadable(
            content=Content(size_bytes=source.size_bytes, etag=etag_of(source.digest), data=None),
            media_type=_ANY_KIND,
            file_name=video.title.removesuffix(suffix := suffix_of(head)) + suffix,
            video_id=video.id,
            parts=_Original(source=source),
            store=self._store,
        )
