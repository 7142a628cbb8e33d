"""The walk along the catalogue: what each video refers to against what is held of it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Final

from services.admin.files.bookkeeping import Bookkeeping
from services.admin.files.findings import Finding, Graces, Kind
from services.admin.files.sightings import Sighting
from services.admin.files.witnesses import Witnesses
from services.shared.references import References
from services.shared.ring.placement import parse_key, partition_of
from services.shared.topology import Topology
from services.shared.video import Video

_PAGE: Final = 100


class CatalogueCheck:
    """Finds files that a video refers to and nobody holds, and files that nothing refers to.

    A file is recorded after it was stored. So what a record refers to that was read before must be held, and
    what a record does not refer to that is read afterwards is not merely new.
    """

    def __init__(
        self,
        topology: Topology,
        witnesses: Witnesses,
        bookkeeping: Bookkeeping,
        *,
        video_id: str,
        graces: Graces,
    ) -> None:
        self._topology = topology
        self._witnesses = witnesses
        self._bookkeeping = bookkeeping
        self._video_id = video_id
        self._graces = graces

    async def run(self) -> AsyncGenerator[list[Finding], None]:
        """What is wrong, video by video.

        Raises:
            UnavailableError: the catalogue can't be read.
        """
        async with aclosing(self._videos()) as videos:
            async for video in videos:
                yield await self._compare(video)

    async def _videos(self) -> AsyncGenerator[Video, None]:
        if self._video_id:
            if video := await self._bookkeeping.video(self._video_id):
                yield video
            return
        after: str | None = None
        while page := await self._bookkeeping.videos(after=after, limit=_PAGE):
            for video in page:
                yield video
            after = page[-1].id

    async def _compare(self, video: Video) -> list[Finding]:
        before = await self._bookkeeping.references(video)
        held = await self._held(video.id)
        lacking, strays = before.needed - held.keys(), self._strays(before, held)
        if not lacking and not strays:
            return []
        after = await self._bookkeeping.reread(video.id)
        if after is None:
            return []
        return [
            *(_orphan(held[name]) for name in strays if after.is_stray(name)),
            *await self._missing(after, lacking & after.needed),
        ]

    async def _held(self, video_id: str) -> dict[str, Sighting]:
        """What is held of a video, by file name."""
        async with aclosing(self._witnesses.sightings(video_id=video_id)) as sightings:
            return {parse_key(seen.key).file: seen async for seen in sightings}

    def _strays(self, referred: References, held: dict[str, Sighting]) -> list[str]:
        old_ms = (time.time() - self._graces.orphan_s) * 1000
        return [name for name, seen in held.items() if seen.newest_ms <= old_ms and referred.is_stray(name)]

    async def _missing(self, referred: References, names: Iterable[str]) -> list[Finding]:
        keys = [f"{referred.video.id}/{name}" for name in sorted(names)]
        return [self._lost(key) for key in keys if await self._witnesses.is_nowhere(key)]

    def _lost(self, key: str) -> Finding:
        owners = self._topology.view.owners(partition_of(key))
        return Finding(
            kind=Kind.MISSING, key=key, nodes=tuple(sorted(owners)), problem="No node has a sound copy."
        )


def _orphan(seen: Sighting) -> Finding:
    return Finding(kind=Kind.ORPHAN, key=seen.key, nodes=tuple(sorted(seen.copies)))
