"""Removes files that nobody will ever ask for: what killed attempts and earlier generations left behind.

A file goes only where it follows from the records of its video that it is of no use and never will be (see
`services.shared.references`), and when it is old. That its video is not in the catalogue is no reason: the
catalogue may be the one that is wrong. A deleted video's files go by its tombstone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Final

from services.admin.files.bookkeeping import Bookkeeping
from services.admin.files.sightings import Sighting
from services.admin.files.witnesses import Witnesses
from services.shared.content.channels import Channels
from services.shared.content.holders import Holders
from services.shared.errors import StaleRingError
from services.shared.etcd import EtcdClient
from services.shared.references import SETTLED, References
from services.shared.ring.placement import parse_key
from services.shared.telemetry import Counter
from services.shared.topology import Topology
from services.shared.video import Video

log = logging.getLogger(__name__)

_VIDEOS: Final = 50
_FILES: Final = 2000

_REMOVED: Final = Counter(
    "tritontube_admin_orphans_removed_total", "Copies removed that nothing referred to."
)


class Orphans:
    """Goes through the catalogue, a bounded batch per round, round and round.

    Args:
        etcd: where the catalogue is.
        topology: the ring.
        grace_s: younger files stay.
        videos: looked at per round.
        files: removed per round and a bit, at most.
    """

    def __init__(
        self,
        etcd: EtcdClient,
        topology: Topology,
        *,
        grace_s: float,
        videos: int = _VIDEOS,
        files: int = _FILES,
    ) -> None:
        self._topology = topology
        self._bookkeeping = Bookkeeping(etcd)
        self._grace_s = grace_s
        self._videos = videos
        self._files = files
        self._after: str | None = None

    async def round(self) -> int:
        """Look at the next videos; return how many copies went. None do while files are on the move.

        Raises:
            UnavailableError: etcd can't be reached, or there is no ring; the next round goes on from here.
        """
        view = await self._topology.refresh()
        if view.migrating:
            return 0
        batch = await self._bookkeeping.videos(after=self._after, limit=self._videos)
        removed = 0
        async with Channels.over(self._topology) as channels:
            witnesses = Witnesses(self._topology, Holders(channels))
            for video in batch:
                removed += await self._tidy(video, witnesses, view.epoch)
                self._after = video.id
                if removed >= self._files:
                    return removed
        if len(batch) < self._videos:
            self._after = None
        return removed

    async def _tidy(self, video: Video, witnesses: Witnesses, epoch: int) -> int:
        """Remove what a video has too much; how many copies."""
        if video.status not in SETTLED:
            return 0
        garbage = await self._garbage(await self._bookkeeping.references(video), witnesses)
        if garbage:
            log.info("video %s: removing %d files that nothing refers to", video.id, len(garbage))
        removed = 0
        try:
            for key, node in _copies(garbage):
                removed += await witnesses.remove(node, key, epoch=epoch)
        except StaleRingError as error:
            log.info("orphans are removed later: %s", error)
        _REMOVED.inc(removed)
        return removed

    async def _garbage(self, referred: References, witnesses: Witnesses) -> list[Sighting]:
        """The video's old files that are of no use to anyone, whatever becomes of it."""
        old_ms = (time.time() - self._grace_s) * 1000
        async with aclosing(witnesses.sightings(video_id=referred.video.id)) as sightings:
            return [
                seen
                async for seen in sightings
                if seen.newest_ms <= old_ms and referred.is_garbage(parse_key(seen.key).file)
            ]


def _copies(garbage: list[Sighting]) -> Iterator[tuple[str, str]]:
    """Key and node of each copy."""
    return ((seen.key, node) for seen in garbage for node in seen.copies)
