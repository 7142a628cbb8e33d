"""From an uploaded source to a plan: probe it, make it cuttable if it is not, lay out the tasks."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from services.shared.catalog import WorkBook
from services.shared.content import ContentStore
from services.shared.errors import PermanentJobError, UnsupportedMediaError
from services.shared.filenames import source_part_file
from services.shared.plan import Plan
from services.shared.settings import TranscoderSettings
from services.shared.task import Task
from services.shared.video import Source, Video
from services.transcoder.command import Input
from services.transcoder.encoders import Encoders
from services.transcoder.feed import SourceFeed
from services.transcoder.ladder import Ladder
from services.transcoder.opening import opening_tasks
from services.transcoder.probe import Inspection, describe, look_into, probe
from services.transcoder.process import Limits
from services.transcoder.remux import remux
from services.transcoder.scratch import Scratch
from services.transcoder.sketch import sketch
from services.transcoder.source import SourceInfo
from services.transcoder.streams import Bounds, Header
from services.transcoder.timeline import make_plan, make_tasks

_PART_BYTES: Final = 32 << 20
_REMUX_SLACK_BYTES: Final = 16 << 20


def bounds_of(settings: TranscoderSettings) -> Bounds:
    """The largest source that these settings accept."""
    return Bounds(duration_s=settings.max_duration_s, pixels=settings.max_pixels)


class Preparation:
    """Makes plans."""

    def __init__(
        self,
        *,
        book: WorkBook,
        content: ContentStore,
        feed: SourceFeed,
        scratch: Scratch,
        settings: TranscoderSettings,
        encoders: Encoders,
        ladder: Ladder,
        limits: Limits,
    ) -> None:
        self._book = book
        self._content = content
        self._feed = feed
        self._bounds = bounds_of(settings)
        self._scratch = scratch
        self._encoders = encoders
        self._ladder = ladder
        self._limits = limits

    async def plan(self, video: Video, *, workers: int) -> tuple[Plan, tuple[Task, ...]]:
        """A plan for a video's source, and its tasks in the order in which they should start.

        Raises:
            UnsupportedMediaError: the source is not a video that can be played; the reason is for people.
            PermanentJobError: it is one, and nothing can be made of it, or on no worker; likewise.
            TransientJobError: a limit stopped ffmpeg.
            OutOfSpaceError: this worker's disk has no room for what it takes.
            UnavailableError: the ring could not deliver the source.
        """
        inspected, remuxed, sketched = await self._inspected(video), None, None
        if not inspected.header.seekable:
            # It is surveyed only afterwards: in what was recorded off the air, time stamps may leap.
            remuxed = await self._remuxed(video, inspected.header)
        elif not (video.whole or video.careful):
            sketched = await self._sketched(video, inspected)
        info = sketched or await self._probed(video, remuxed or video.source)
        info = replace(info, video=replace(info.video, counted=inspected.header.counted))
        plan = await self._planned(video, info)
        plan = plan.model_copy(update={"remuxed": remuxed, "surveyed": sketched is None})
        if sketched:
            return plan, opening_tasks(plan, sketched.video)
        return plan, make_tasks(plan, info.video, workers=workers, whole=video.whole)

    async def _planned(self, video: Video, info: SourceInfo) -> Plan:
        encoder = await self._encoders.identity(self._ladder.profiles)
        plan = make_plan(info, generation=video.generation, encoder=encoder, ladder=self._ladder)
        return plan.model_copy(update={"renditions": await self._encoders.announced(plan.renditions)})

    async def _inspected(self, video: Video) -> Inspection:
        async with self._offered(video, video.source) as given:
            header = await describe(given, bounds=self._bounds, limits=self._limits)
            if not header.seekable:
                await self._check_room(_copy_bytes(video.source))
            return await look_into(given, header, limits=self._limits)

    async def _check_room(self, size_bytes: int) -> None:
        """See that a remuxed copy fits on this worker's disk, now.

        Raises:
            PermanentJobError: on no worker's disk would it fit, were that empty.
            OutOfSpaceError: there is no room for it, or on another worker's disk only.
        """
        if self._scratch.room_bytes < size_bytes and not await self._book.could_hold(size_bytes):
            raise PermanentJobError(
                "It has to be copied into another container first. That takes up to "
                f"{size_bytes / 1e9:.2f} GB of a worker's disk, and no worker has that much."
            )
        self._scratch.check_room(size_bytes)

    async def _sketched(self, video: Video, inspected: Inspection) -> SourceInfo | None:
        async with self._offered(video, video.source) as given:
            return await sketch(given, inspected, bounds=self._bounds, limits=self._limits)

    async def _probed(self, video: Video, source: Source) -> SourceInfo:
        async with self._offered(video, source) as given:
            limits = self._limits.for_reading(source.size_bytes)
            return await probe(given, bounds=self._bounds, limits=limits)

    async def _remuxed(self, video: Video, header: Header) -> Source:
        limit = _copy_bytes(video.source)
        with tempfile.TemporaryDirectory(prefix="remux-", dir=self._scratch.folder) as folder:
            path = Path(folder) / "source.mkv"
            async with self._offered(video, video.source) as given:
                limits = self._limits.for_reading(video.source.size_bytes)
                await remux(given, header, path, max_bytes=limit, limits=limits)
            return await self._stored(video, path)

    async def _stored(self, video: Video, path: Path) -> Source:
        stem = f"remuxed-g{video.generation}"
        digest, size, number = hashlib.sha256(), 0, 0
        with path.open("rb") as file:
            while data := await asyncio.to_thread(file.read, _PART_BYTES):
                digest.update(data)
                size += len(data)
                await self._content.put(f"{video.id}/{source_part_file(number, stem=stem)}", data)
                number += 1
        return Source(
            stem=stem, size_bytes=size, sha256=digest.hexdigest(), part_bytes=_PART_BYTES, parts=number
        )

    @asynccontextmanager
    async def _offered(self, video: Video, source: Source) -> AsyncIterator[Input]:
        """The source as an input; a reason to refuse it counts only if all of it could be read."""
        async with self._feed.offer(video.id, source) as offered:
            try:
                yield Input(location=offered.url)
            except (UnsupportedMediaError, PermanentJobError):
                offered.check()
                raise
            offered.check()


def _copy_bytes(source: Source) -> int:
    """The most that a remuxed copy may take."""
    return source.size_bytes + source.size_bytes // 4 + _REMUX_SLACK_BYTES
