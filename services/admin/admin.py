"""One process's part in looking after the cluster. Any number of processes may have one, none is special."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.admin.files.checks import Checks
from services.admin.files.findings import Graces
from services.admin.membership.commitment import Commitment
from services.admin.membership.courier import Courier
from services.admin.membership.driver import Driver
from services.admin.membership.examination import Examination
from services.admin.membership.preparation import Preparation
from services.admin.membership.queues import Queues
from services.admin.membership.records import Records
from services.admin.membership.requests import Requests
from services.admin.membership.suspects import Suspects
from services.shared.broker import Broker
from services.shared.etcd import EtcdClient
from services.shared.topology import Topology


@dataclass(frozen=True, kw_only=True)
class Admin:
    """What the calls of operators, and the work behind them, share."""

    etcd: EtcdClient
    topology: Topology
    records: Records
    examination: Examination
    preparation: Preparation
    requests: Requests
    dead_after_s: float
    """How long a member may be away before it is declared dead; 0: for ever."""
    checks: Checks

    @classmethod
    @asynccontextmanager
    async def follow(
        cls,
        etcd: EtcdClient,
        topology: Topology,
        *,
        dead_after_s: float = 0.0,
        graces: Graces | None = None,
    ) -> AsyncIterator[Admin]:
        """Follow the ring's records while the context lasts. Does not wait for etcd."""
        async with Records.follow(etcd) as records:
            examination = Examination(etcd)
            preparation = Preparation(examination)
            yield cls(
                etcd=etcd,
                topology=topology,
                records=records,
                examination=examination,
                preparation=preparation,
                requests=Requests(etcd, topology, records, preparation),
                dead_after_s=dead_after_s,
                checks=Checks(etcd, topology, graces=graces or Graces()),
            )

    async def work(self, broker: Broker) -> None:
        """Carry changes out, tell storage nodes of them, and watch over the members, until cancelled."""
        courier = Courier(broker, self.topology, self.records)
        queues = Queues(broker, self.topology)
        commitment = Commitment(self.etcd, self.topology, self.records, self.preparation)
        driver = Driver(self.topology, self.records, commitment, on_begun=courier.announce)
        suspects = Suspects(
            self.etcd, self.topology, self.records, self.requests, dead_after_s=self.dead_after_s
        )
        async with asyncio.TaskGroup() as group:
            for work in (driver.run(), courier.run(), suspects.run(), queues.run()):
                group.create_task(work)
