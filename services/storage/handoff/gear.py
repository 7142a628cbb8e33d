"""What a node needs to hand files over, and to drop them."""

from __future__ import annotations

from dataclasses import dataclass

from services.shared.pace import Pace
from services.shared.topology import Topology
from services.storage.disk.store import Store
from services.storage.handoff.peers import Peers
from services.storage.handoff.pushing import Pusher
from services.storage.handoff.summaries import Summaries
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
    pace: Pace
    """Of everything that the node moves or looks through by itself."""
    interval_s: float
    """How often a destination is compared with while nothing changes."""
