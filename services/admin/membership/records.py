"""What the ring's keys in etcd say besides the ring itself, as this process has heard of it.

::

    async with Records.follow(etcd) as records:
        records.requests.entries   # who asked for which change
        records.synced(epoch)      # who has handed over everything

They may be a moment old. Whoever decides from them compares, in its transaction, what it decided from.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Generic, NamedTuple, TypeVar

from tenacity import before_sleep_log, retry, retry_if_exception_type, wait_random_exponential

from services.shared.errors import UnavailableError
from services.shared.etcd import EtcdClient, EventKind, KeyValue, Snapshot, WatchEvent
from services.shared.lifecycle import background
from services.shared.record import Record
from services.shared.ring.progress import SUSPECT_PREFIX, Progress, Suspect, SyncReport
from services.shared.ring.requests import REQUEST_PREFIX, ChangeRequest, RequestState
from services.shared.ring.state import PROGRESS_PREFIX, RING_PREFIX, SYNC_PREFIX, sync_key

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)

_MAX_PAUSE_S: Final = 2.0


class Recorded(NamedTuple, Generic[R]):
    """A record, and the key's state that it was read from: what a transaction compares."""

    record: R
    kv: KeyValue


class Shelf(Generic[R]):
    """The records below one prefix, by what follows it in their keys."""

    def __init__(self, prefix: str, kind: type[R]) -> None:
        self.prefix = prefix
        self.entries: dict[str, Recorded[R]] = {}
        self._kind = kind

    def put(self, kv: KeyValue) -> None:
        """Take a key in. One that can't be read, of another version perhaps, counts as absent."""
        self.drop(kv.key)
        try:
            record = self._kind.model_validate_json(kv.value)
        except ValueError as error:
            log.warning("%s cannot be read and is ignored: %s", kv.key, error)
        else:
            self.entries[kv.key.removeprefix(self.prefix)] = Recorded(record, kv)

    def drop(self, key: str) -> None:
        """Forget a key."""
        self.entries.pop(key.removeprefix(self.prefix), None)

    def record(self, name: str) -> R | None:
        """The record of this name, if there is one."""
        found = self.entries.get(name)
        return found.record if found else None


class Records:
    """Requests, reports, progress and suspects. Make one with `Records.follow`."""

    def __init__(self) -> None:
        self.requests = Shelf(REQUEST_PREFIX, ChangeRequest)
        self.syncs = Shelf(SYNC_PREFIX, SyncReport)
        self.progress = Shelf(PROGRESS_PREFIX, Progress)
        self.suspects = Shelf(SUSPECT_PREFIX, Suspect)
        self._shelves: tuple[Shelf[Any], ...] = (self.requests, self.syncs, self.progress, self.suspects)
        self._listeners: list[Callable[[], None]] = []

    @classmethod
    @asynccontextmanager
    async def follow(cls, etcd: EtcdClient) -> AsyncIterator[Records]:
        """Keep the records current while the context lasts. Does not wait for etcd."""
        records = cls()
        async with background(records._follow(etcd)):
            yield records

    @property
    def queue(self) -> list[Recorded[ChangeRequest]]:
        """The requests that wait, the next one first."""
        waiting = (
            entry for entry in self.requests.entries.values() if entry.record.state is RequestState.QUEUED
        )
        return in_order(waiting)

    def synced(self, epoch: int) -> frozenset[str]:
        """The nodes that reported sync at this epoch."""
        prefix = sync_key(epoch, "").removeprefix(SYNC_PREFIX)
        return frozenset(name.removeprefix(prefix) for name in self.syncs.entries if name.startswith(prefix))

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each piece of news from now on. Returns how to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @retry(
        retry=retry_if_exception_type(UnavailableError),
        wait=wait_random_exponential(multiplier=0.1, max=_MAX_PAUSE_S),
        before_sleep=before_sleep_log(log, logging.INFO),
    )
    async def _follow(self, etcd: EtcdClient) -> None:
        async with aclosing(etcd.follow(RING_PREFIX)) as news:
            async for item in news:
                if isinstance(item, Snapshot):
                    self._take_snapshot(item.kvs)
                else:
                    self._take_event(item)
                for listener in tuple(self._listeners):
                    listener()

    def _take_snapshot(self, kvs: Sequence[KeyValue]) -> None:
        for shelf in self._shelves:
            shelf.entries.clear()
        for kv in kvs:
            self._put(kv)

    def _take_event(self, event: WatchEvent) -> None:
        if event.kind is EventKind.PUT:
            self._put(event.kv)
            return
        for shelf in self._shelves:
            shelf.drop(event.kv.key)

    def _put(self, kv: KeyValue) -> None:
        for shelf in self._shelves:
            if kv.key.startswith(shelf.prefix):
                shelf.put(kv)


def in_order(requests: Iterable[Recorded[ChangeRequest]]) -> list[Recorded[ChangeRequest]]:
    """Requests in the order in which they were asked for."""
    return sorted(requests, key=lambda entry: entry.kv.create_revision)


async def read_progress(etcd: EtcdClient, epoch: int) -> list[Progress]:
    """What nodes have told of their part in a change at this epoch, as etcd has it now.

    Raises:
        UnavailableError: etcd can't be reached.
    """
    shelf = Shelf(PROGRESS_PREFIX, Progress)
    for kv in (await etcd.range_snapshot(PROGRESS_PREFIX)).kvs:
        shelf.put(kv)
    return [found.record for found in shelf.entries.values() if found.record.epoch == epoch]


async def read_requests(etcd: EtcdClient) -> list[Recorded[ChangeRequest]]:
    """All requests on record, as etcd has them now, in order.

    Raises:
        UnavailableError: etcd can't be reached.
    """
    shelf = Shelf(REQUEST_PREFIX, ChangeRequest)
    for kv in (await etcd.range_snapshot(REQUEST_PREFIX)).kvs:
        shelf.put(kv)
    return in_order(shelf.entries.values())
