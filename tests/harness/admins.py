"""Admin instances inside a test, each with connections of its own, and what storage nodes would tell them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc

from services.admin.admin import Admin
from services.admin.membership.commitment import Commitment
from services.admin.membership.driver import Driver
from services.admin.server import admin_server
from services.shared.broker import Broker
from services.shared.etcd import EtcdClient
from services.shared.lifecycle import background
from services.shared.ring.progress import SyncReport
from services.shared.ring.requests import REQUEST_PREFIX, ChangeRequest
from services.shared.ring.state import RingState, sync_key
from services.shared.rpc import CHANNEL_OPTIONS
from services.shared.topology import Topology
from tests.harness.etcd import PATIENT_S, EtcdCluster
from tests.harness.waiting import eventually

NO_BROKER: Final = "amqp://guest:guest@127.0.0.1:1/"
_DEADLINE_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One admin instance that does nothing by itself: a test takes its steps one by one."""

    admin: Admin

    @property
    def driver(self) -> Driver:
        """Takes steps when told to."""
        commitment = Commitment(
            self.admin.etcd, self.admin.topology, self.admin.records, self.admin.preparation
        )
        return Driver(self.admin.topology, self.admin.records, commitment, on_begun=lambda: None)

    async def step(self) -> bool:
        """Take the next step as soon as this instance has heard of what calls for it."""
        return await eventually(self.driver.step, deadline_s=_DEADLINE_S, what="a step to take")

    async def heard_of(self, request_id: str) -> None:
        """Wait until it knows a request."""
        await eventually(
            lambda: self.admin.records.requests.record(request_id), deadline_s=_DEADLINE_S, what=request_id
        )


@asynccontextmanager
async def idle_admin(etcd: EtcdCluster, *, dead_after_s: float = 0.0) -> AsyncIterator[Instance]:
    """An instance with connections of its own, that takes no step by itself."""
    async with (
        EtcdClient.connect(etcd.endpoints, attempt_timeout_s=PATIENT_S) as client,
        Topology.follow(client) as topology,
        Admin.follow(client, topology, dead_after_s=dead_after_s) as admin,
    ):
        await eventually(lambda: topology.heard, deadline_s=_DEADLINE_S, what="first listing")
        yield Instance(admin=admin)


@asynccontextmanager
async def working_admin(
    etcd: EtcdCluster, *, amqp_url: str = NO_BROKER, dead_after_s: float = 0.0
) -> AsyncIterator[Admin]:
    """An instance at work, as a web process has it."""
    async with (
        idle_admin(etcd, dead_after_s=dead_after_s) as instance,
        Broker.connect(amqp_url, app_id="web", instance="admin", connect_timeout_s=None) as broker,
        background(instance.admin.work(broker)),
    ):
        yield instance.admin


@asynccontextmanager
async def many_admins(etcd: EtcdCluster, count: int) -> AsyncIterator[list[Admin]]:
    """Instances at work beside each other."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(working_admin(etcd)) for _ in range(count)]


@asynccontextmanager
async def channel_to(admin: Admin) -> AsyncIterator[grpc.aio.Channel]:
    """A client of the instance's calls."""
    async with (
        admin_server("127.0.0.1:0", admin) as server,
        grpc.aio.insecure_channel(server.address, options=CHANNEL_OPTIONS) as channel,
    ):
        yield channel


async def report_sync(client: EtcdClient, epoch: int, nodes: Iterable[str]) -> None:
    """Say in the nodes' place that they have handed over everything."""
    for node in nodes:
        await client.put(sync_key(epoch, node), SyncReport(files=0, at_ms=1).encode())


async def requests_on_record(client: EtcdClient) -> dict[str, ChangeRequest]:
    """All requests, by id."""
    found = (await client.range_snapshot(REQUEST_PREFIX)).kvs
    requests = [ChangeRequest.model_validate_json(kv.value) for kv in found]
    return {request.id: request for request in requests}


async def state_when_stable(topology: Topology, *, epoch: int) -> RingState:
    """The ring once it is at rest at this epoch or a later one."""

    async def settled() -> RingState | None:
        state = (await topology.refresh()).state
        return None if state.migrating or state.epoch < epoch else state

    return await eventually(settled, deadline_s=_DEADLINE_S, what=f"stable at epoch {epoch}")


async def state_when_migrating(topology: Topology, *, epoch: int) -> RingState:
    """The ring once files move at this epoch or a later one."""

    async def moving() -> RingState | None:
        state = (await topology.refresh()).state
        return state if state.migrating and state.epoch >= epoch else None

    return await eventually(moving, deadline_s=_DEADLINE_S, what=f"migrating at epoch {epoch}")
