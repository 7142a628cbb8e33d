"""What a node needs to hand files over, and to drop them."""

from __future__ import annotations

from dataclasses import dataclass

from services.shared.topology import Topology
from services.storage.peers import Peers
from services.storage.pushing import Pusher
from services.storage.store import Store
from services.storage.summaries import Summaries
from services.storage.threads import Threads


@dataclass(frozen=True, kw_only=True, slots=True)
class Gear:
    """The parts that work on every duty share."""

    store: Store
    threads: Threads
    topology: Topology
    summaries: Summaries
    peers: Peers
    pusher: Pusher
    interval_s: float
    """How often a destination is compared with while nothing changes."""
