"""What the ring becomes: pure decisions. The coordinator carries them out, each as one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.shared.ring.builder import RingNode, build
from services.shared.ring.state import FIRST_EPOCH, NodeEntry, NodeLive, RingState, write_quorum
from services.shared.ring.table import RingTable


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A state to write, and the table it names that may not be published yet."""

    state: RingState
    table: RingTable


def first_ring(live: Iterable[NodeLive], *, replicas: int, cluster_id: str) -> Decision:
    """The ring's first state: every live node is a member, all files' copies are where they should be.

    Raises:
        ValueError: no node is live.
    """
    members = sorted(live, key=lambda node: node.id)
    table = build([RingNode(id=node.id, zone=node.zone) for node in members], replicas)
    state = RingState(
        cluster_id=cluster_id,
        epoch=FIRST_EPOCH,
        cur=table.id,
        replicas=replicas,
        write_quorum=write_quorum(replicas),
        nodes={
            node.id: NodeEntry(address=node.address, zone=node.zone, disk_id=node.disk_id) for node in members
        },
    )
    return Decision(state=state, table=table)
