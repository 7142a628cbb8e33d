"""Sending files to other nodes, a few at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Final

from services.shared.errors import (
    ConflictError,
    CorruptFileError,
    NotFoundError,
    OutOfSpaceError,
    UnavailableError,
)
from services.shared.ring.placement import partition_of
from services.storage import metrics
from services.storage.disk.objectfile import ObjectInfo
from services.storage.disk.store import Store
from services.storage.handoff.duty import Duty
from services.storage.handoff.peers import Peers
from services.storage.handoff.promises import PROMISE_S
from services.storage.threads import Threads
from services.storage.together import together
from services.storage.upkeep.inspection import Inspector

log = logging.getLogger(__name__)

_GOOD_FOR_S: Final = PROMISE_S * 0.75
"""How long after it was asked for a file is still sent: later, it may have been asked of another node."""

_MAX_FAILURES: Final = 8
"""Files that a node did not take, before it is let alone for a while: it is not because of the files then."""


class _Waiting:
    """Files to be sent, partition by partition; a partition that somebody waits for comes first."""

    def __init__(self, files: Iterable[ObjectInfo], hurried: Collection[int]) -> None:
        self._hurried = hurried
        self._files: dict[int, deque[ObjectInfo]] = {}
        for info in files:
            self._files.setdefault(partition_of(info.key), deque()).append(info)

    def take(self) -> ObjectInfo | None:
        """The next one; None at the end."""
        if not self._files:
            return None
        urgent = (partition for partition in self._hurried if partition in self._files)
        partition = next(chain(urgent, self._files))
        info = self._files[partition].popleft()
        if not self._files[partition]:
            del self._files[partition]
        return info


class Pusher:
    """All that one node sends shares a number of streams; what it holds in memory is a block for each."""

    def __init__(
        self, *, store: Store, threads: Threads, peers: Peers, inspector: Inspector, streams: int
    ) -> None:
        self._store = store
        self._threads = threads
        self._peers = peers
        self._inspector = inspector
        self._streams = streams
        self._slots = asyncio.Semaphore(streams)

    async def push(self, files: Sequence[ObjectInfo], *, node: str, duty: Duty) -> set[str]:
        """Send files that a node has just asked for.

        Returns:
            The keys of those that it has durably now, and of those that this node has no more itself.

        Raises:
            StaleRingError: the node knows a newer ring.
            OutOfSpaceError: the node is full.
            UnavailableError: the node is away, too slow, takes no writes, or took none of these. A file that
                it does not take keeps no other from being sent.
        """
        waiting, settled = _Waiting(files, duty.hurried), set[str]()
        failures: list[UnavailableError] = []
        loop = asyncio.get_running_loop()
        until = loop.time() + _GOOD_FOR_S

        async def work() -> None:
            while loop.time() < until and len(failures) < _MAX_FAILURES and (info := waiting.take()):
                try:
                    if await self._push(info, node, duty):
                        settled.add(info.key)
                except OutOfSpaceError:
                    raise
                except UnavailableError as error:
                    failures.append(error)

        await together(*(work() for _ in range(min(self._streams, len(files)))))
        if failures and not settled:
            raise failures[0]
        return settled

    async def _push(self, info: ObjectInfo, node: str, duty: Duty) -> bool:
        """Whether there is nothing more to do for a file; otherwise the next offer of it tells."""
        async with self._slots:
            try:
                async with self._threads.holding(self._store.examine, info.key) as file:
                    await self._peers.push(node, file, epoch=duty.epoch)
            except NotFoundError:
                return True
            except CorruptFileError as error:
                return await self._is_lost(info.key, error)
            except ConflictError as error:
                log.info("%s was not handed over to %s: %s", info.key, node, error)
                return False
        metrics.HANDED_OVER.inc()
        metrics.HANDED_OVER_BYTES.inc(info.size_bytes)
        duty.moved(info, node)
        return True

    async def _is_lost(self, key: str, error: CorruptFileError) -> bool:
        """Find out whether it is our own copy that is damaged: then there is none to give any more.

        Raises:
            UnavailableError: it is not.
        """
        try:
            await self._inspector.inspect(key)
        except (CorruptFileError, NotFoundError):
            return True
        raise UnavailableError(str(error)) from error
