"""Everything that one node hands over to one other."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Final

from services.shared.errors import OutOfSpaceError, TritonTubeError, UnavailableError
from services.shared.ring.placement import PARTITIONS, key_hash, partition_of
from services.storage.disk.objectfile import ObjectInfo
from services.storage.handoff.duty import Amount, Duty
from services.storage.handoff.gear import Gear
from services.storage.handoff.offers import MAX_OFFERED, Answer
from services.storage.handoff.summaries import Summary

log = logging.getLogger(__name__)

_MIN_PAUSE_S: Final = 0.25
_MAX_PAUSE_S: Final = 15.0
"""Between attempts to reach a destination that is away or full."""
_MAX_PENDING_PAUSE_S: Final = 1.0
"""Between looks at files that other nodes are sending."""

_LOOK_COST_BYTES: Final = 16 << 10
_OFFER_COST_BYTES: Final = 8 << 10
"""What looking up a partition here, and a file there, counts for beside the bytes that are moved: it takes as
much of a processor as sending so many."""


class Lane:
    """Brings one destination up to what this node holds, for as long as an epoch lasts."""

    def __init__(self, destination: str, duty: Duty, gear: Gear, *, node: str) -> None:
        self.wake = asyncio.Event()
        """Set to end a pause."""
        self._destination = destination
        self._duty = duty
        self._gear = gear
        # Sources begin at different places of the ring, so that they do not offer the same files at once.
        self._start = key_hash(node) % PARTITIONS
        self._in_conflict: set[int] = set()

    async def run(self) -> None:
        """Until everything is handed over; while the ring is STABLE, from time to time again, for ever."""
        failures = 0
        while True:
            self.wake.clear()
            obstacle = await self._attempt()
            self._duty.obstruct(self._destination, obstacle)
            failures = failures + 1 if obstacle else 0
            if not obstacle and self._duty.view.migrating:
                return
            await self._rest(_pause_s(failures) if obstacle else self._gear.interval_s * _jitter())
            if not self._duty.view.migrating:
                self._duty.reopen(self._destination, self._gear.store.index.files())

    async def _rest(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self.wake.wait()

    async def _attempt(self) -> str:
        """Hand over what can be; what kept it from going on, a sentence, or nothing."""
        self._in_conflict.clear()
        try:
            await self._hand_over_all()
        except OutOfSpaceError:
            return f"{self._destination} is full."
        except TritonTubeError as error:
            log.info("handing over to %s is held up: %s", self._destination, error)
            return str(error)
        return ""

    async def _hand_over_all(self) -> None:
        waits = 0
        while lacking := self._duty.lacking(self._destination) - self._in_conflict:
            if self._destination not in self._gear.topology.view.up:
                raise UnavailableError(f"{self._destination} is away.")
            sizes = await self._compare(lacking)
            got_on = await self._round(sizes) or not sizes
            waits = 0 if got_on else waits + 1
            if waits:
                await asyncio.sleep(_pause_s(waits, limit_s=_MAX_PENDING_PAUSE_S))
        if self._in_conflict:
            raise UnavailableError(f"{self._destination} holds other content under some keys: see the log.")

    async def _compare(self, partitions: Collection[int]) -> dict[int, int]:
        """Confirm what is equal; how many files there are in the partitions that differ."""
        theirs = await self._gear.peers.summarize(self._destination, partitions, epoch=self._duty.epoch)
        ours = await self._gear.threads.run(self._gear.summaries.held, partitions)
        for partition in partitions:
            if partition not in ours or ours[partition] == theirs.get(partition):
                self._duty.confirm(partition, self._destination)
                ours.pop(partition, None)
            else:
                lacking = _difference(ours[partition], theirs.get(partition))
                self._duty.found_lacking(partition, self._destination, lacking)
        return {partition: summary.files for partition, summary in ours.items()}

    async def _round(self, sizes: Mapping[int, int]) -> bool:
        """Offer everything that is left once; whether anything got on."""
        remaining, got_on = dict(sizes), False
        while remaining:
            batch = self._next_batch(remaining)
            for partition in batch:
                del remaining[partition]
            got_on |= await self._hand_over(batch)
        return got_on

    def _next_batch(self, sizes: Mapping[int, int]) -> list[int]:
        """Partitions for one offer, or one that takes several; what somebody waits for comes first."""
        batch: list[int] = []
        files = 0
        for partition in sorted(sizes, key=self._turn):
            files += sizes[partition]
            if batch and files > MAX_OFFERED:
                break
            batch.append(partition)
        return batch

    def _turn(self, partition: int) -> tuple[bool, int]:
        return partition not in self._duty.hurried, (partition - self._start) % PARTITIONS

    async def _hand_over(self, batch: Collection[int]) -> bool:
        """Offer partitions and send what is wanted; whether anything got on."""
        unsettled: set[int] = set()
        sent = 0
        async with aclosing(self._pages(batch)) as pages:
            async for page in pages:
                left = await self._settle(page)
                unsettled.update(partition_of(info.key) for info in left)
                sent += len(page) - len(left)
        for partition in set(batch) - unsettled:
            self._duty.confirm(partition, self._destination)
        return sent > 0 or unsettled < set(batch)

    async def _settle(self, page: Sequence[ObjectInfo]) -> list[ObjectInfo]:
        """Offer files and send those that are wanted, until none is; those that are not confirmed then."""
        left, in_conflict = list(page), list[ObjectInfo]()
        while left:
            await self._gear.pace.take(_OFFER_COST_BYTES * len(left))
            answers = await self._gear.peers.offer(self._destination, left, epoch=self._duty.epoch)
            by_answer = _sorted_by(answers, left)
            in_conflict += by_answer[Answer.CONFLICT]
            wanted, left = by_answer[Answer.WANTED], by_answer[Answer.PENDING]
            self._tell_lacking([*wanted, *left])
            if not wanted:
                break
            settled = await self._gear.pusher.push(wanted, node=self._destination, duty=self._duty)
            left += [info for info in wanted if info.key not in settled]
        self._tell_of_conflicts(in_conflict)
        return left + in_conflict

    async def _pages(self, partitions: Iterable[int]) -> AsyncGenerator[list[ObjectInfo], None]:
        """What this node holds of some partitions, in portions for one offer each."""
        page: list[ObjectInfo] = []
        for partition in partitions:
            after = ""
            while found := await self._rows(partition, after):
                after = found[-1].key
                page += found
                while len(page) >= MAX_OFFERED:
                    yield page[:MAX_OFFERED]
                    page = page[MAX_OFFERED:]
        if page:
            yield page

    async def _rows(self, partition: int, after: str) -> list[ObjectInfo]:
        await self._gear.pace.take(_LOOK_COST_BYTES)
        return await self._gear.threads.run(self._gear.store.index.of_partition, partition, after=after)

    def _tell_lacking(self, files: Iterable[ObjectInfo]) -> None:
        counts, sizes = Counter[int](), Counter[int]()
        for info in files:
            counts[partition_of(info.key)] += 1
            sizes[partition_of(info.key)] += info.size_bytes
        for partition, count in counts.items():
            amount = Amount(files=count, size_bytes=sizes[partition])
            self._duty.found_lacking(partition, self._destination, amount)

    def _tell_of_conflicts(self, files: Iterable[ObjectInfo]) -> None:
        for info in files:
            log.error("%s holds other content under %s", self._destination, info.key)
            self._in_conflict.add(partition_of(info.key))


def _difference(ours: Summary, theirs: Summary | None) -> Amount:
    """How much more we have. An estimate, since the sets may differ in both directions."""
    if theirs is None:
        return Amount(files=ours.files, size_bytes=ours.size_bytes)
    return Amount(
        files=max(0, ours.files - theirs.files), size_bytes=max(0, ours.size_bytes - theirs.size_bytes)
    )


def _sorted_by(answers: Sequence[Answer], files: Sequence[ObjectInfo]) -> dict[Answer, list[ObjectInfo]]:
    found: dict[Answer, list[ObjectInfo]] = {answer: [] for answer in Answer}
    for info, answer in zip(files, answers, strict=True):
        found[answer].append(info)
    return found


def _pause_s(times: int, *, limit_s: float = _MAX_PAUSE_S) -> float:
    """How long to wait after so many times in vain."""
    return min(limit_s, _MIN_PAUSE_S * float(2 ** min(times - 1, 10))) * _jitter()


def _jitter() -> float:
    return random.uniform(0.75, 1.25)  # noqa: S311 - keeps nodes apart, guards nothing
