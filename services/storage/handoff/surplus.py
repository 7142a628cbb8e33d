"""Dropping copies that belong to other nodes, once those have them for certain."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Final

from services.shared.errors import TritonTubeError
from services.shared.ring.placement import partition_of
from services.shared.ring.view import RingView
from services.storage import metrics
from services.storage.disk.objectfile import ObjectInfo
from services.storage.handoff.duties import may_drop, owns
from services.storage.handoff.duty import Duty
from services.storage.handoff.gear import Gear
from services.storage.together import together

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 2.0
_MIN_PAUSE_S: Final = 4.0
_MAX_PAUSE_S: Final = 600.0
"""While owners can't vouch for their copies: each question makes them read all of these."""
_AT_ONCE: Final = 32
"""Files in one question to the owners."""


class Surplus:
    """The copies that a node holds without owning them.

    How long they have been surplus is counted from when this process noticed: a restart begins anew, which
    only keeps them longer.
    """

    def __init__(self, gear: Gear, *, node_id: str, grace_s: float) -> None:
        self._gear = gear
        self._node_id = node_id
        self._grace_s = grace_s
        self._since: dict[int, float] = {}
        self._not_before: dict[int, float] = {}
        self._refusals: Counter[int] = Counter()

    def look(self, view: RingView, held: Collection[int]) -> None:
        """Take note of what is surplus under a ring."""
        now = time.monotonic()
        surplus = {partition for partition in held if not owns(view, self._node_id, partition)}
        self._since = {partition: self._since.get(partition, now) for partition in surplus}
        for partition in self._not_before.keys() - surplus:
            del self._not_before[partition], self._refusals[partition]

    async def run(self, duty: Duty) -> None:
        """Drop what may be dropped, for as long as the duty's epoch lasts."""
        while not duty.view.migrating:
            self.look(duty.view, self._gear.store.index.files())
            for partition in self._due():
                if duty.is_settled(partition):
                    await self._clear(duty.view, partition)
            await asyncio.sleep(_LOOK_EVERY_S)

    def _due(self) -> list[int]:
        now = time.monotonic()
        return [
            partition
            for partition, since in self._since.items()
            if now - since >= self._grace_s and self._not_before.get(partition, 0.0) <= now
        ]

    async def _clear(self, view: RingView, partition: int) -> None:
        """Drop a partition's files, as far as its owners vouch for theirs; the rest is for later."""
        pause_s = min(_MAX_PAUSE_S, _MIN_PAUSE_S * float(2 ** min(self._refusals[partition], 10)))
        self._refusals[partition] += 1
        self._not_before[partition] = time.monotonic() + pause_s
        dropped = 0
        try:
            async for files in self._portions(partition):
                dropped += await self._drop(view, partition, files)
        except TritonTubeError as error:
            log.info("partition %d is kept for now: %s", partition, error)
        if dropped:
            log.info("partition %d belongs to other nodes: dropped %d files", partition, dropped)

    async def _drop(self, view: RingView, partition: int, files: Sequence[ObjectInfo]) -> int:
        """Have every owner read its copies; drop those of which all have a sound one."""
        owners = view.owners(partition)
        sound = await together(*(self._gear.peers.verify(owner, files, epoch=view.epoch) for owner in owners))
        vouched = dict(zip(owners, sound, strict=True))
        dropped = 0
        for info in files:
            vouching = {owner: view.epoch for owner in owners if (info.key, info.sha256) in vouched[owner]}
            if self._may_drop(view, info, vouching):
                dropped += await self._gear.threads.run(self._gear.store.remove, info.key, epoch=view.epoch)
        metrics.SURPLUS_DROPPED.inc(dropped)
        return dropped

    def _may_drop(self, view: RingView, info: ObjectInfo, vouching: Mapping[str, int]) -> bool:
        partition = partition_of(info.key)
        known_for_s = time.monotonic() - self._since.get(partition, time.monotonic())
        held_for_s = time.time() - info.stored_at_ms / 1000
        return may_drop(
            view,
            self._node_id,
            partition,
            confirmations=vouching,
            surplus_for_s=min(known_for_s, held_for_s),
            grace_s=self._grace_s,
        )

    async def _portions(self, partition: int) -> AsyncGenerator[list[ObjectInfo], None]:
        after = ""
        while page := await self._gear.threads.run(
            self._gear.store.index.of_partition, partition, after=after
        ):
            after = page[-1].key
            for at in range(0, len(page), _AT_ONCE):
                yield page[at : at + _AT_ONCE]
