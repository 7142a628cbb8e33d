"""The ring as operators are told of it: the newest picture there is, also while etcd is away."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from services.shared.errors import UnavailableError
from services.shared.ring.state import NodeState
from services.shared.ring.view import RingView
from services.shared.topology import Topology

_PATIENCE_S: Final = 3.0
_GONE: Final = frozenset({NodeState.DEAD, NodeState.REMOVED})


class Picture(NamedTuple):
    """The ring, and from when that is."""

    view: RingView
    as_of_ms: int = 0
    """When etcd last told of it, in milliseconds since 1970; 0: just now."""


async def newest(topology: Topology, *, patience_s: float = _PATIENCE_S) -> Picture:
    """The ring as it is now; as it was last heard of while etcd is away.

    Args:
        topology: the ring.
        patience_s: how long to wait for etcd.

    Raises:
        UnavailableError: the ring has not been formed, or etcd was never reached.
    """
    try:
        async with asyncio.timeout(patience_s):
            return Picture(await topology.refresh())
    except (TimeoutError, UnavailableError):
        return Picture(topology.view, topology.heard_at_ms)


def members(view: RingView) -> dict[str, str]:
    """Addresses by node id, without those that were declared dead or were removed."""
    entries = view.state.nodes.items()
    return {node: view.address(node) or entry.address for node, entry in entries if entry.state not in _GONE}
