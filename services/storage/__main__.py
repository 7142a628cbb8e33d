"""A storage node as a process: `python -m services.storage`. Its composition root."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import grpc

from services.shared import lifecycle, service
from services.shared.broker import Broker
from services.shared.content.channels import Channels
from services.shared.errors import InvalidRequestError
from services.shared.etcd import EtcdClient
from services.shared.pace import Pace
from services.shared.ring.state import NodeLive
from services.shared.rpc_server import Service, serving
from services.shared.settings import StorageSettings
from services.shared.sockets import listen
from services.shared.stubs.tritontube.storage.v1 import storage_pb2, storage_pb2_grpc
from services.shared.topology import Topology
from services.storage import bulk, metrics
from services.storage.addressee import Addressee
from services.storage.bulk import BulkServicer
from services.storage.disk.datafolder import DataFolder, opened
from services.storage.disk.rescan import rescan
from services.storage.disk.store import Store
from services.storage.handoff.exchange import Exchange, Links, exchange
from services.storage.handoff.handoff import Handoff
from services.storage.identity import Identity
from services.storage.intake import Intake
from services.storage.membership import Membership
from services.storage.outlet import Outlet
from services.storage.servicer import StorageServicer
from services.storage.threads import Threads
from services.storage.tombstones import Tombstones
from services.storage.upkeep.upkeep import Upkeep, upkeep

log = logging.getLogger("services.storage")

_DISK_THREADS: Final = 16
_SERVICE: Final = storage_pb2.DESCRIPTOR.services_by_name["StorageService"].full_name
_EVERYWHERE: Final = frozenset({"0.0.0.0", "[::]"})  # noqa: S104 - recognised here, not bound


async def serve(settings: StorageSettings, stop: asyncio.Event) -> None:
    """Be a storage node until `stop` is set.

    Raises:
        TritonTubeError: it cannot start, or a part of it died.
    """
    data = opened(
        settings.data, reserve_fraction=settings.reserve_fraction, capacity_bytes=settings.capacity_bytes
    )
    with data as folder, Threads(_DISK_THREADS) as threads:
        metrics.observe(folder)
        async with _linked(settings) as links:
            with listen(bulk_listen(settings)) as listening:
                live = _live(settings, folder.identity, bulk_port=listening.getsockname()[1])
                node = _composed(folder, settings, links, threads=threads, live=live, stop=stop)
                await _run(settings, stop, node, listening)


@asynccontextmanager
async def _linked(settings: StorageSettings) -> AsyncIterator[Links]:
    async with (
        EtcdClient.configured(settings) as etcd,
        Topology.follow(etcd) as topology,
        Channels.over(topology) as channels,
        Broker.connect(
            settings.amqp_url, app_id="storage", instance=settings.instance, connect_timeout_s=None
        ) as broker,
    ):
        yield Links(etcd=etcd, topology=topology, channels=channels, broker=broker)


@dataclass(frozen=True, kw_only=True)
class _Node:
    """Its faces, and what goes on behind them."""

    id: str
    servicer: StorageServicer
    bulk: BulkServicer
    work: Sequence[Coroutine[Any, Any, None]]


def _composed(
    folder: DataFolder,
    settings: StorageSettings,
    links: Links,
    *,
    threads: Threads,
    live: NodeLive,
    stop: asyncio.Event,
) -> _Node:
    pace = Pace(settings.handoff_bytes_per_s)
    membership = _membership(folder, settings, links, threads, live)
    tombstones = Tombstones(etcd=links.etcd, store=folder.store, threads=threads, node_id=live.id)
    care = upkeep(
        folder, settings, threads=threads, topology=links.topology, channels=links.channels, pace=pace
    )
    traffic = exchange(
        folder, settings, links, threads=threads, membership=membership, inspector=care.inspector, pace=pace
    )
    servicer, bulk_servicer = _faces(
        folder, settings, live=live, threads=threads, membership=membership, care=care, traffic=traffic
    )
    work = (
        membership.keep_registered(),
        membership.follow_ring(),
        tombstones.follow(),
        tombstones.purge(),
        _hand_over(folder.store, threads, traffic.handoff),
        traffic.reports.run(),
        traffic.inbox.run(stop),
        care.mender.run(),
        care.scrubber.run(),
        care.watch.run(),
    )
    return _Node(id=live.id, servicer=servicer, bulk=bulk_servicer, work=work)


def _faces(
    folder: DataFolder,
    settings: StorageSettings,
    *,
    live: NodeLive,
    threads: Threads,
    membership: Membership,
    care: Upkeep,
    traffic: Exchange,
) -> tuple[StorageServicer, BulkServicer]:
    """What others talk to: both take files in, and give them out, by the same rules."""
    intake = Intake(
        store=folder.store,
        epochs=membership,
        is_asked_first=membership.is_asked_first,
        threads=threads,
        promises=traffic.promises,
        memory_bytes=settings.staging_bytes,
    )
    outlet = Outlet(
        store=folder.store, epochs=membership, threads=threads, memory_bytes=settings.staging_bytes
    )
    servicer = StorageServicer(
        folder=folder,
        live=live,
        epochs=membership,
        intake=intake,
        outlet=outlet,
        threads=threads,
        inspector=care.inspector,
        mender=care.mender,
        offers=traffic.offers,
    )
    return servicer, BulkServicer(node_id=live.id, intake=intake, outlet=outlet)


def _membership(
    folder: DataFolder, settings: StorageSettings, links: Links, threads: Threads, live: NodeLive
) -> Membership:
    return Membership(
        etcd=links.etcd,
        topology=links.topology,
        fence=folder.store.fence,
        identity=folder.identity,
        threads=threads,
        live=live,
        lease_ttl_s=settings.lease_ttl_s,
    )


def _live(settings: StorageSettings, identity: Identity, *, bulk_port: int) -> NodeLive:
    address = advertised(settings)
    return NodeLive(
        id=identity.node_id,
        address=address,
        bulk=f"{address.rpartition(':')[0]}:{bulk_port}",
        disk_id=identity.disk_id,
        zone=settings.zone,
        started_at_ms=time.time_ns() // 1_000_000,
    )


async def _hand_over(store: Store, threads: Threads, handoff: Handoff) -> None:
    """Know all that is held, then see to it that the owners have it."""
    await rescan(store, threads)
    await handoff.run()


async def _run(settings: StorageSettings, stop: asyncio.Event, node: _Node, listening: socket.socket) -> None:
    """Serve beside the background work. The servers stop first: what they are at still needs the lease."""
    offered = Service(name=_SERVICE, register=partial(_add, node.servicer))
    grace_s = settings.drain_timeout_s
    async with (
        lifecycle.background(*node.work),
        serving(settings.listen, offered, grace_s=grace_s, interceptors=[Addressee(node.id)]),
        bulk.serving(listening, node.bulk, grace_s=grace_s),
    ):
        log.info("serving %s at %s", settings.data, settings.listen)
        await stop.wait()


def _add(servicer: StorageServicer, server: grpc.aio.Server) -> None:
    storage_pb2_grpc.add_StorageServiceServicer_to_server(servicer, server)


def advertised(settings: StorageSettings) -> str:
    """The address that others reach the node at.

    Raises:
        InvalidRequestError: it listens on every interface, so that its address has to be given.
    """
    if settings.advertise:
        return settings.advertise
    if settings.listen.rpartition(":")[0] in _EVERYWHERE:
        raise InvalidRequestError(
            f"The node listens on {settings.listen}: set TRITONTUBE_ADVERTISE to the address "
            "that others reach it at."
        )
    return settings.listen


def bulk_listen(settings: StorageSettings) -> str:
    """Where to listen for bulk connections: at any free port beside `listen`, unless it is set."""
    return settings.bulk_listen or f"{settings.listen.rpartition(':')[0]}:0"


if __name__ == "__main__":
    sys.exit(service.main(StorageSettings, serve, name="services.storage"))
