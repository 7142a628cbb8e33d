"""What has been deleted, as etcd has it: nothing of it is served any more, whoever may still hold it.

An event from the broker says so sooner or later, or gets lost; the tombstones in etcd are followed without a
gap. They stand from the very transaction that deletes until no storage node holds anything any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from tenacity import before_sleep_log, retry, retry_if_exception_type, wait_random_exponential

from services.shared.catalog.keys import TOMBSTONES, graves
from services.shared.errors import NotFoundError, UnavailableError
from services.shared.etcd import EtcdClient, EventKind, Snapshot, WatchEvent
from services.shared.ring.placement import parse_key
from services.web.cache import Content, Load

log = logging.getLogger(__name__)

_MAX_PAUSE_S: Final = 2.0

_patiently = retry(
    retry=retry_if_exception_type(UnavailableError),
    wait=wait_random_exponential(multiplier=0.1, max=_MAX_PAUSE_S),
    before_sleep=before_sleep_log(log, logging.INFO),
)


class Graveyard:
    """The tombstones of videos and of generations of them."""

    def __init__(self, etcd: EtcdClient, *, on_burial: Callable[[str], None]) -> None:
        """`on_burial` is told the id of each video of which something was deleted."""
        self._etcd = etcd
        self._on_burial = on_burial
        self._graves: set[str] = set()

    @_patiently
    async def run(self) -> None:
        """Learn of deletions, for ever."""
        async with aclosing(self._etcd.follow(TOMBSTONES)) as news:
            async for item in news:
                if isinstance(item, Snapshot):
                    self._replace({_grave(kv.key) for kv in item.kvs})
                else:
                    self._take(item)

    def guarding(self, load: Load) -> Load:
        """`load`, but of nothing that has been deleted by the time it is there."""

        async def load_living(key: str) -> Content:
            content = await load(key)
            if not self._graves.isdisjoint(graves(*parse_key(key))):
                raise NotFoundError("There is no such file: it has been deleted.")
            return content

        return load_living

    def _replace(self, names: set[str]) -> None:
        new, self._graves = names - self._graves, names
        for name in new:
            self._on_burial(_video(name))

    def _take(self, event: WatchEvent) -> None:
        name = _grave(event.kv.key)
        if event.kind is EventKind.DELETE:
            self._graves.discard(name)
        else:
            self._graves.add(name)
            self._on_burial(_video(name))


def _grave(key: str) -> str:
    return key.removeprefix(TOMBSTONES)


def _video(grave: str) -> str:
    """Whose it is: a generation's follows the id behind a dot."""
    return grave.partition(".")[0]
