"""The end of deletions: a tombstone goes once every storage node has purged the video.

A deleted video's tombstone tells the nodes to purge its files. Every node ever registered must have said that
it did, also those that are down, dead or removed: one of them may return with old files, and only the
tombstone tells that they were deleted. A tombstone is kept for a while in any case, so that writes that were
under way when the video was deleted meet it.
"""

from __future__ import annotations

import logging
import time
from contextlib import aclosing
from typing import Final

from services.shared.catalog import keys
from services.shared.catalog.graves import missing_purges
from services.shared.etcd import EtcdClient, KeyValue, delete_op, delete_prefix_op, unchanged
from services.shared.ring.state import STATE_KEY

log = logging.getLogger(__name__)

_BATCH: Final = 200
_MIN_AGE_S: Final = 3600.0


class Retirement:
    """Looks through the tombstones, a bounded batch per round, and removes those that have served.

    Args:
        etcd: where tombstones are.
        batch: tombstones looked at per round.
        min_age_s: younger tombstones stay.
    """

    def __init__(self, etcd: EtcdClient, *, batch: int = _BATCH, min_age_s: float = _MIN_AGE_S) -> None:
        self._etcd = etcd
        self._batch = batch
        self._min_age_s = min_age_s
        self._cursor: str | None = None

    async def round(self) -> int:
        """Look at the next batch, in the order of ids and round and round; return how many went.

        Raises:
            UnavailableError: etcd can't be reached; the next round goes on from here.
        """
        ring = await self._etcd.get(STATE_KEY)
        if ring is None:
            return 0
        retired = 0
        batch = await self._next_batch()
        for tombstone in batch:
            retired += await self._retire(tombstone, ring)
            self._cursor = tombstone.key
        if len(batch) < self._batch:
            self._cursor = None
        return retired

    async def _next_batch(self) -> list[KeyValue]:
        batch: list[KeyValue] = []
        found = self._etcd.range(keys.TOMBSTONES, start_after=self._cursor, page_size=self._batch)
        async with aclosing(found) as tombstones:
            async for tombstone in tombstones:
                batch.append(tombstone)
                if len(batch) == self._batch:
                    break
        return batch

    async def _retire(self, tombstone: KeyValue, ring: KeyValue) -> bool:
        video_id = tombstone.key.removeprefix(keys.TOMBSTONES)
        if not self._is_old(tombstone) or await missing_purges(self._etcd, video_id, ring):
            return False
        # A node that is registered meanwhile changes the ring's record: then it has to purge, too.
        result = await self._etcd.txn(
            [unchanged(tombstone), unchanged(ring)],
            then=[delete_op(tombstone.key), delete_prefix_op(keys.purged(video_id, ""))],
        )
        if result.succeeded:
            log.info("video %s is gone from every node", video_id)
        return result.succeeded

    def _is_old(self, tombstone: KeyValue) -> bool:
        return time.time() - int(tombstone.value) / 1000 >= self._min_age_s
