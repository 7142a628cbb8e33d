"""Owners that turned out to lack a file get it, behind the back of the read that found out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from services.shared.content.nodes import Nodes
from services.shared.content.part import Part
from services.shared.errors import TritonTubeError
from services.shared.ring.placement import partition_of
from services.shared.rpc import MAX_FILE_BYTES
from services.shared.telemetry import Counter
from services.shared.topology import Topology

log = logging.getLogger(__name__)

_MAX_WAITING: Final = 64
"""More are forgotten: the next read of the file, or the nodes themselves, will notice again."""

_TIMEOUT_S: Final = 30.0
_REPAIRED: Final = Counter("tritontube_content_repairs_total", "Owners that a read found to lack a file.")

ReadAll = Callable[[str], Awaitable[bytes]]


class Repairs:
    """A short queue of (file, owner that lacks it), worked off one at a time."""

    def __init__(self, *, nodes: Nodes, topology: Topology, read_all: ReadAll) -> None:
        self._nodes = nodes
        self._topology = topology
        self._read_all = read_all
        self._waiting: asyncio.Queue[tuple[str, str]] = asyncio.Queue(_MAX_WAITING)
        self._known: set[tuple[str, str]] = set()

    def note(self, key: str, without: Iterable[str]) -> None:
        """Some nodes have no copy of a file that exists: those that own it should."""
        owners = self._topology.view.owners(partition_of(key))
        for node in set(owners).intersection(without):
            if (key, node) not in self._known and not self._waiting.full():
                self._known.add((key, node))
                self._waiting.put_nowait((key, node))

    async def run(self) -> None:
        """Repair, for ever."""
        while True:
            key, node = await self._waiting.get()
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    await self._repair(key, node)
            except (TritonTubeError, TimeoutError) as error:
                log.info("%s still lacks %s: %s", node, key, error)
            finally:
                self._known.discard((key, node))

    async def _repair(self, key: str, node: str) -> None:
        epoch = self._topology.view.epoch
        part = Part(limit_bytes=MAX_FILE_BYTES)
        await part.fill(await self._read_all(key))
        await self._nodes.put(node, key, part, epoch=epoch)
        _REPAIRED.inc()
        log.info("%s lacked %s and has it now", node, key)
