"""Seeing to files that went wrong: a node fetches what it should have, and tells others what they lack.

Work comes in two ways: as copies that were lost to damage, whoever met it (a reader, an inspection, the
scrubber), and as requests. What can't be mended at once is tried again, later and later, for about a quarter
of an hour; after that it is up to the comparison of what the owners hold.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.shared.content.channels import Channels
from services.shared.content.nodes import Nodes
from services.shared.errors import ConflictError, TritonTubeError, UnavailableError
from services.shared.ring.placement import partition_of
from services.shared.rpc import translated
from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from services.shared.topology import Topology
from services.storage import metrics
from services.storage.disk.store import Store
from services.storage.handoff.duties import at_work, destinations, owns
from services.storage.threads import Threads
from services.storage.upkeep.fetch import Fetcher

log = logging.getLogger(__name__)

_AT_ONCE: Final = 2
_MAX_WAITING: Final = 10_000
"""Lost copies; more are left to the comparison of what owners hold."""
_ATTEMPTS: Final = 18
_MIN_PAUSE_S: Final = 0.5
_MAX_PAUSE_S: Final = 60.0
_PEER_TIMEOUT_S: Final = 30.0
_PEER_BYTES_PER_S: Final = 4 << 20


@dataclass(kw_only=True)
class Mended:
    """What came of a request."""

    files: int = 0
    problems: list[str] = field(default_factory=list)
    """A sentence for each file that could not be mended."""


class Mender:
    """Mends one node's files, a few at a time."""

    def __init__(
        self,
        *,
        node_id: str,
        store: Store,
        threads: Threads,
        topology: Topology,
        channels: Channels,
        fetcher: Fetcher,
    ) -> None:
        self._node_id = node_id
        self._store = store
        self._threads = threads
        self._topology = topology
        self._channels = channels
        self._nodes = Nodes(channels)
        self._fetcher = fetcher
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._attempts: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()

    def lost(self, key: str) -> None:
        """Note that this node's copy of a file was damaged or is gone. Any thread may say so."""
        metrics.DAMAGED.inc()
        self._loop.call_soon_threadsafe(self._note, key)

    async def run(self) -> None:
        """Mend what was lost, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._work())

    async def mend(self, keys: Sequence[str]) -> Mended:
        """See to some files now: fetch what this node owns and lacks, have others fetch what they lack."""
        mended = Mended()
        for key in keys:
            try:
                mended.files += await self._mend(key)
            except TritonTubeError as error:
                mended.problems.append(f"{key}: {error}")
        return mended

    # ---- lost copies ----

    def _note(self, key: str) -> None:
        if key not in self._attempts and len(self._attempts) < _MAX_WAITING:
            self._attempts[key] = 0
            self._waiting.put_nowait(key)

    async def _work(self) -> None:
        while True:
            key = await self._waiting.get()
            try:
                await self._restore(key)
            except ConflictError as error:
                log.info("%s is not brought back: %s", key, error)
            except TritonTubeError as error:
                self._later(key, error)
                continue
            del self._attempts[key]

    async def _restore(self, key: str) -> None:
        async with self._slots:
            if await self._is_due(key):
                await self._fetcher.fetch(key)
                metrics.MENDED.inc()

    def _later(self, key: str, error: TritonTubeError) -> None:
        self._attempts[key] += 1
        if self._attempts[key] == _ATTEMPTS:
            del self._attempts[key]
            metrics.UNMENDED.inc()
            log.error("%s could not be mended: %s", key, error)
            return
        pause_s = min(_MAX_PAUSE_S, _MIN_PAUSE_S * 2 ** self._attempts[key])
        log.info("%s is mended later: %s", key, error)
        self._loop.call_later(pause_s, self._waiting.put_nowait, key)

    # ---- one file ----

    async def _mend(self, key: str) -> bool:
        """Whether anything was done for a file."""
        async with self._slots:
            if await self._is_due(key):
                await self._fetcher.fetch(key)
                metrics.MENDED.inc()
                return True
            held = await self._threads.run(self._store.durable, [key])
        return bool(held) and await self._hand_over(key, held[0].size_bytes)

    async def _is_due(self, key: str) -> bool:
        """Whether this node should have a file and has not."""
        view, partition = self._topology.view, partition_of(key)
        if not at_work(view, self._node_id) or not owns(view, self._node_id, partition):
            return False
        return not await self._threads.run(self._store.durable, [key])

    async def _hand_over(self, key: str, size_bytes: int) -> bool:
        """Have the other owners that lack a file fetch it. Whether there was any."""
        lacking = [node for node in self._others(key) if await self._nodes.facts(node, key) is None]
        for node in lacking:
            stub = await self._channels.stub(node)
            timeout_s = _PEER_TIMEOUT_S + size_bytes / _PEER_BYTES_PER_S
            with translated(node):
                answer = await stub.Mend(storage_pb2.MendRequest(keys=[key]), timeout=timeout_s)
            if answer.problems:
                raise UnavailableError(f"{node} could not take it. {answer.problems[0]}")
        return bool(lacking)

    def _others(self, key: str) -> tuple[str, ...]:
        return destinations(self._topology.view, self._node_id, partition_of(key))
