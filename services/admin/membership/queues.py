"""Deletes the queues of storage nodes that have left the ring and do not run any more.

A node that comes back declares them again, as does whoever sends it something.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from services.shared.broker import Broker
from services.shared.errors import UnavailableError
from services.shared.messages import handoff_queue
from services.shared.ring.state import NodeState
from services.shared.ring.view import RingView
from services.shared.topology import Topology

log = logging.getLogger(__name__)

_INTERVAL_S: Final = 60.0


class Queues:
    """Looks for queues that nobody will read. Any number of instances may do so at once."""

    def __init__(self, broker: Broker, topology: Topology, *, interval_s: float = _INTERVAL_S) -> None:
        self._broker = broker
        self._topology = topology
        self._interval_s = interval_s
        self._retired: set[str] = set()

    async def run(self) -> None:
        """Delete what is of no use, until cancelled.

        Not at once: where all has just been started, RabbitMQ's queues are about to elect their leaders, and
        3.10 cannot bear that retry queues are deleted meanwhile: rabbit_fifo_dlx_sup dies, and with it all
        retry queues of the node.
        """
        while True:
            await asyncio.sleep(self._interval_s)
            with suppress(UnavailableError):
                await self._round(self._topology.view)

    async def _round(self, view: RingView) -> None:
        gone = {node for node, entry in view.state.nodes.items() if entry.state is NodeState.REMOVED}
        gone -= self._topology.live.keys()
        self._retired &= gone
        for node in sorted(gone - self._retired):
            if await self._broker.retire(handoff_queue(node)):
                self._retired.add(node)
                log.info("the queues of %s, which has left the ring, are deleted", node)
