"""The walk along the ring: the lists of all nodes side by side, and each file's copies looked at."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from services.admin.files.bookkeeping import Bookkeeping
from services.admin.files.findings import Finding, Graces, Kind, judge
from services.admin.files.sightings import Sighting
from services.admin.files.witnesses import Witnesses
from services.shared.ring.placement import parse_key
from services.shared.topology import Topology

_BATCH: Final = 200
"""Files that are looked at together."""


class PlacementCheck:
    """Finds files that are not on their owners, damaged copies, and files of videos that nobody knows.

    Files are written, moved and deleted meanwhile: what looks wrong is looked at again before it is told.
    """

    def __init__(
        self,
        topology: Topology,
        witnesses: Witnesses,
        bookkeeping: Bookkeeping,
        *,
        verify: bool,
        video_id: str,
        graces: Graces,
    ) -> None:
        self._topology = topology
        self._witnesses = witnesses
        self._bookkeeping = bookkeeping
        self._verify = verify
        self._video_id = video_id
        self._graces = graces
        self.seen = Counter[str]()
        """So many `files`, `copies` and `bytes`."""

    async def run(self) -> AsyncGenerator[list[Finding], None]:
        """What is wrong, batch by batch.

        Raises:
            UnavailableError: the catalogue can't be read.
        """
        async with aclosing(_batches(self._witnesses.sightings(video_id=self._video_id))) as batches:
            async for batch in batches:
                self._count(batch)
                damaged = await self._damaged(batch) if self._verify else []
                known = {finding.key for finding in damaged}
                others = [seen for seen in batch if seen.key not in known]
                yield [*damaged, *await self._misplaced(others), *await self._unheard_of(others)]

    def _count(self, batch: list[Sighting]) -> None:
        for seen in batch:
            sizes = [copy.size_bytes for copy in seen.copies.values()]
            self.seen.update(files=1, copies=len(sizes), bytes=sum(sizes))

    async def _damaged(self, batch: list[Sighting]) -> list[Finding]:
        damaged = await self._witnesses.damaged(batch)
        return [
            Finding(kind=Kind.CORRUPT, key=key, nodes=tuple(sorted(nodes))) for key, nodes in damaged.items()
        ]

    async def _misplaced(self, batch: list[Sighting]) -> list[Finding]:
        suspects = [seen for seen in batch if self._judged(seen)]
        again = await self._witnesses.look_again(suspects) if suspects else []
        return [finding for seen in again for finding in self._judged(seen)]

    def _judged(self, seen: Sighting) -> list[Finding]:
        unknown, now_ms = self._witnesses.silent, int(time.time() * 1000)
        return [*judge(self._topology.view, seen, unknown=unknown, now_ms=now_ms, graces=self._graces)]

    async def _unheard_of(self, batch: list[Sighting]) -> list[Finding]:
        old_ms = (time.time() - self._graces.orphan_s) * 1000
        old = [seen for seen in batch if seen.newest_ms <= old_ms]
        unknown = [seen for seen in old if not await self._bookkeeping.is_known(parse_key(seen.key).video_id)]
        again = await self._witnesses.look_again(unknown) if unknown else []
        return [_unknown(seen) for seen in again]


def _unknown(seen: Sighting) -> Finding:
    return Finding(
        kind=Kind.ORPHAN,
        key=seen.key,
        nodes=tuple(sorted(seen.copies)),
        problem="No record tells of its video. That alone is never a reason to remove it.",
    )


async def _batches(sightings: AsyncGenerator[Sighting, None]) -> AsyncGenerator[list[Sighting], None]:
    batch: list[Sighting] = []
    async with aclosing(sightings):
        async for seen in sightings:
            batch.append(seen)
            if len(batch) == _BATCH:
                yield batch
                batch = []
    if batch:
        yield batch
