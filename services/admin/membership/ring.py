"""The ring as operators are told of it: the newest picture there is, also while etcd is away."""

from __future__ import annotations

import asyncio
from typing import Final

from services.shared.errors import UnavailableError
from services.shared.ring.state import NodeState
from services.shared.ring.view import RingView
from services.shared.topology import Topology

_PATIENCE_S: Final = 3.0
_GONE: Final = frozenset({NodeState.DEAD, NodeState.REMOVED})


async def newest(topology: Topology, *, patience_s: float = _PATIENCE_S) -> RingView:
    """The ring as it is now; as it was last heard of while etcd is away.

    Args:
        topology: the ring.
        patience_s: how long to wait for etcd.

    Raises:
        UnavailableError: the ring has not been formed, or etcd was never reached.
    """
    try:
        async with asyncio.timeout(patience_s):
            return await topology.refresh()
    except (TimeoutError, UnavailableError):
        return topology.view


def members(view: RingView) -> dict[str, str]:
    """Addresses by node id, without those that were declared dead or were removed."""
    entries = view.state.nodes.items()
    return {node: view.address(node) or entry.address for node, entry in entries if entry.state not in _GONE}
