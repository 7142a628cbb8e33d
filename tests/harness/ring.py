"""Ring records for tests: nodes that are live without a process, states without an admin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType

from services.shared.etcd import EtcdClient
from services.shared.ring.builder import build
from services.shared.ring.state import (
    STATE_KEY,
    NodeEntry,
    NodeLive,
    RingState,
    live_key,
    table_key,
    write_quorum,
)
from services.shared.ring.table import RingTable

LEASE_TTL_S = 60


def node_live(name: str, *, address: str | None = None, zone: str = "default") -> NodeLive:
    """What the storage node `name` would say about itself."""
    return NodeLive(
        id=name,
        address=address or f"{name}:9090",
        disk_id=f"disk-{name}",
        zone=zone,
        started_at_ms=1,
    )


def node_entry(name: str, *, weight: float = 1.0) -> NodeEntry:
    """How the ring has that node on record."""
    return NodeEntry(address=f"{name}:9090", disk_id=f"disk-{name}", weight=weight)


@asynccontextmanager
async def live_nodes(etcd: EtcdClient, *names: str) -> AsyncIterator[None]:
    """Let the nodes be live, under one lease, while the context lasts."""
    async with etcd.lease(LEASE_TTL_S) as lease:
        for name in names:
            await etcd.put(live_key(name), node_live(name).encode(), lease_id=lease.id)
        yield


def ring_state(
    names: Sequence[str],
    *,
    epoch: int = 1,
    replicas: int = 2,
    weights: Mapping[str, float] = MappingProxyType({}),
    **changes: object,
) -> tuple[RingState, RingTable]:
    """A stable ring over the nodes, and its table; nodes weigh 1 unless told otherwise."""
    nodes = {name: node_entry(name, weight=weights.get(name, 1.0)) for name in names}
    state = RingState(
        cluster_id="cluster",
        epoch=epoch,
        cur="-",
        replicas=replicas,
        write_quorum=write_quorum(replicas),
        nodes=nodes,
    )
    table = build(state.placeable(), replicas)
    return state.model_copy(update={"cur": table.id, **changes}), table


async def publish(etcd: EtcdClient, state: RingState, *tables: RingTable) -> None:
    """Write tables, then the state, as an admin would."""
    for table in tables:
        await etcd.put(table_key(table.id), table.encode())
    await etcd.put(STATE_KEY, state.encode())
