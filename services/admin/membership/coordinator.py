"""Carries out decisions about the ring. Any number of admin instances may do so at once.

There is no leader among them and no lock: each step is one etcd transaction that compares what it was decided
from, so one instance's step succeeds and the others find it done. One that dies leaves nothing half-done.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Final

from tenacity import before_sleep_log, retry, retry_if_exception_type, wait_random_exponential

from services.admin.files.orphans import Orphans
from services.admin.files.retirement import Retirement
from services.admin.membership.changes import Decision, first_ring
from services.admin.membership.housekeeping import Housekeeping
from services.shared.errors import UnavailableError
from services.shared.etcd import EtcdClient, absent, put_op
from services.shared.ring.state import STATE_KEY, NodeLive, table_key
from services.shared.topology import Topology

log = logging.getLogger(__name__)

_MAX_PAUSE_S: Final = 2.0
_TIDY_INTERVAL_S: Final = 60.0
_CLUSTER_ID_BYTES: Final = 16


class Coordinator:
    """Forms the ring once, then keeps its records tidy.

    Args:
        etcd: where the ring's records are.
        topology: the live nodes.
        replicas: copies of each file in a ring that this instance forms.
        bootstrap_nodes: form it as soon as so many nodes are live.
        orphan_grace_s: files that nothing refers to are kept so long.
    """

    def __init__(
        self,
        etcd: EtcdClient,
        topology: Topology,
        *,
        replicas: int,
        bootstrap_nodes: int,
        orphan_grace_s: float = 24 * 3600.0,
    ) -> None:
        self._etcd = etcd
        self._topology = topology
        self._replicas = replicas
        self._bootstrap_nodes = bootstrap_nodes
        self._retirement = Retirement(etcd)
        self._housekeeping = Housekeeping(etcd)
        self._orphans = Orphans(etcd, topology, grace_s=orphan_grace_s)

    async def run(self) -> None:
        """Work until cancelled. Outages of etcd are waited out."""
        await self.form()
        while True:
            try:
                await self._retirement.round()
                await self._housekeeping.round()
                await self._orphans.round()
            except UnavailableError as error:
                log.info("the records are tidied later: %s", error)
            await asyncio.sleep(_TIDY_INTERVAL_S)

    @retry(
        retry=retry_if_exception_type(UnavailableError),
        wait=wait_random_exponential(multiplier=0.1, max=_MAX_PAUSE_S),
        before_sleep=before_sleep_log(log, logging.INFO),
    )
    async def form(self) -> None:
        """Return once there is a ring, formed by this instance or by another."""
        while await self._etcd.get(STATE_KEY) is None:
            live = self._topology.live
            if len(live) >= self._bootstrap_nodes:
                # Building takes a second or two for a hundred nodes: off the event loop.
                await self._create(await asyncio.to_thread(self._first_ring, list(live.values())))
            else:
                log.info("the ring waits for %d storage nodes; %d are live", self._bootstrap_nodes, len(live))
                await self._topology.changed()

    def _first_ring(self, live: list[NodeLive]) -> Decision:
        return first_ring(live, replicas=self._replicas, cluster_id=secrets.token_hex(_CLUSTER_ID_BYTES))

    async def _create(self, first: Decision) -> None:
        table, state = first.table, first.state
        result = await self._etcd.txn(
            [absent(STATE_KEY)],
            then=[put_op(table_key(table.id), table.encode()), put_op(STATE_KEY, state.encode())],
        )
        if result.succeeded:
            log.info("formed the ring of %s with %d copies", ", ".join(state.nodes), table.replicas)
