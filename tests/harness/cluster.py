"""A whole storage cluster of real processes: etcd, RabbitMQ, storage nodes, and admins to change it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from services.shared.content import ContentStore, StoredFile
from services.shared.etcd import EtcdClient
from services.shared.ring.placement import partition_of
from services.shared.ring.state import NodeState
from services.shared.ring.view import RingView
from services.shared.topology import Topology
from tests.harness.etcd import EtcdCluster, etcd_members
from tests.harness.ledger import damaged, misplaced, objects
from tests.harness.load import Demand, Load, under_load
from tests.harness.rabbitmq import RabbitProcess, VirtualHost, virtual_host
from tests.harness.server_process import ServerProcess
from tests.harness.storage import StorageNode, sha256
from tests.harness.waiting import eventually
from tests.harness.web import WebProcess

MIB: Final = 1 << 20
REPLICAS: Final = 2

_DEADLINE_S: Final = 120.0
_SETTINGS: Final = {
    "TRITONTUBE_LOG_LEVEL": "debug",
    "TRITONTUBE_REPLICAS": str(REPLICAS),
    # Slow enough that a test can act while files are on the move.
    "TRITONTUBE_HANDOFF_BYTES_PER_S": str(MIB // 2),
    "TRITONTUBE_HANDOFF_STREAMS": "2",
    "TRITONTUBE_DELETE_GRACE_S": "1",
    "TRITONTUBE_REPAIR_INTERVAL_S": "3",
    "TRITONTUBE_SCRUB_PAUSE_S": "1",
    "TRITONTUBE_SCRUB_BYTES_PER_S": str(4 * MIB),
    "TRITONTUBE_LEASE_TTL_S": "3",
    # Only by hand: most tests hold nodes still for their own reasons.
    "TRITONTUBE_DEAD_AFTER_S": "0",
}


@dataclass(kw_only=True)
class Cluster:
    """The processes of one cluster, and its ring as a bystander sees it."""

    folder: Path
    etcd: EtcdCluster
    vhost: VirtualHost
    client: EtcdClient
    topology: Topology
    nodes: list[StorageNode] = field(default_factory=list)
    """Every node of which there is a disk, members of the ring or not."""
    admins: list[WebProcess] = field(default_factory=list)
    """Web processes: each carries out changes."""
    _numbers: count[int] = field(default_factory=lambda: count(1))

    # ---- processes ----

    @property
    def admin(self) -> WebProcess:
        """One that runs."""
        return next(admin for admin in self.admins if admin.server.running)

    async def new_node(
        self, settings: Mapping[str, str] | None = None, *, etcd: Sequence[str] | None = None
    ) -> StorageNode:
        """Start a node with an empty disk, a candidate until it is added. `etcd`: where it looks for etcd."""
        name = f"s{next(self._numbers)}"
        node = StorageNode(data=self.folder / name, etcd=etcd or self.etcd.endpoints)
        node.server.env = self._environment(settings)
        self.nodes.append(node)
        node.server.start()
        await node.up()
        return node

    async def new_admin(self, settings: Mapping[str, str] | None = None) -> WebProcess:
        """Start one more web process, and wait until it is ready."""
        name = f"web{next(self._numbers)}"
        admin = WebProcess(folder=self.folder, etcd=self.etcd.endpoints, amqp_url=self.vhost.url, name=name)
        admin.server.env = self._environment(settings)
        self.admins.append(admin)
        await admin.start()
        return admin

    def destroy(self, node: StorageNode) -> None:
        """Kill -9 a node, and lose its disk. Only its log is left."""
        if node.server.running:
            node.server.kill()
        self.nodes.remove(node)
        shutil.rmtree(node.data)

    def leave(self, nodes: Iterable[StorageNode]) -> None:
        """Switch nodes off that are no members any more, and forget them."""
        for node in list(nodes):
            if node.server.running:
                node.server.kill()
            self.nodes.remove(node)

    def dismiss(self, admins: Iterable[WebProcess]) -> None:
        """Switch admins off, and forget them."""
        for admin in list(admins):
            if admin.server.running:
                admin.server.kill()
            self.admins.remove(admin)

    def stop(self) -> None:
        """Kill everything but etcd and RabbitMQ."""
        for server in self._servers():
            if server.running:
                server.kill()

    async def revive(self) -> None:
        """Undo what a test did to processes."""
        await self.vhost.rabbit.heal()
        await self.etcd.heal()
        for server in self._servers():
            server.revive()
        for node in self.nodes:
            await node.up()

    def _servers(self) -> list[ServerProcess]:
        return [*(node.server for node in self.nodes), *(admin.server for admin in self.admins)]

    def _environment(self, settings: Mapping[str, str] | None) -> dict[str, str]:
        return {**_SETTINGS, "TRITONTUBE_AMQP_URL": self.vhost.url, **(settings or {})}

    # ---- the ring ----

    @property
    def view(self) -> RingView:
        """The ring, as last heard of."""
        return self.topology.view

    def node(self, node_id: str) -> StorageNode:
        """The node with this name in the ring."""
        return next(node for node in self.nodes if node.id == node_id)

    def members(self, *states: NodeState) -> list[StorageNode]:
        """Nodes that are in one of these states, and of which there is a disk."""
        return [node for node in self.nodes if self._state(node) in states]

    def owners(self, key: str) -> list[StorageNode]:
        """The nodes that own a key now."""
        return [self.node(node) for node in self.view.owners(partition_of(key))]

    def files_on(self, node: StorageNode) -> int:
        """How many objects are on its disk."""
        return len(objects(node))

    async def moving(self) -> int:
        """Wait until files are on the move; returns the epoch of that."""
        view = await self._view_when(lambda view: view.migrating, "a change has begun")
        return view.epoch

    async def stable(self) -> RingView:
        """Wait until no change is in progress."""
        view = await self._view_when(lambda view: not view.migrating, "no change is in progress")
        for node in self.nodes:
            if node.server.running and self._state(node) is NodeState.ACTIVE:
                await node.writable()
        return view

    async def away(self, node_id: str) -> None:
        """Wait until a node has lost its lease."""
        await eventually(
            lambda: node_id not in self.topology.live, deadline_s=_DEADLINE_S, what=f"{node_id} is away"
        )

    async def received(self, node: StorageNode, files: int = 5) -> None:
        """Wait until so many files have reached a node."""
        await eventually(
            lambda: self.files_on(node) >= files,
            deadline_s=_DEADLINE_S,
            what=f"{files} files have reached {node.data.name}",
        )

    async def empty(self, node: StorageNode) -> None:
        """Wait until a node holds nothing."""
        await eventually(
            lambda: not objects(node), deadline_s=_DEADLINE_S, what=f"{node.data.name} holds nothing"
        )

    def _state(self, node: StorageNode) -> NodeState | None:
        entry = self.view.entry(node.id)
        return entry.state if entry else None

    async def _view_when(self, fits: Callable[[RingView], bool], what: str) -> RingView:
        async def fitting() -> RingView | None:
            view = await self.topology.refresh()
            return view if fits(view) else None

        return await eventually(fitting, deadline_s=_DEADLINE_S, what=what)

    # ---- files ----

    @asynccontextmanager
    async def content(self, etcd: Sequence[str] | None = None) -> AsyncIterator[ContentStore]:
        """A client of the ring of its own. `etcd`: where it looks for etcd."""
        async with (
            EtcdClient.connect(etcd or self.etcd.endpoints) as client,
            Topology.follow(client) as topology,
        ):
            await topology.ready(_DEADLINE_S)
            async with ContentStore.connect(topology) as content:
                yield content

    @asynccontextmanager
    async def frozen_content(self) -> AsyncIterator[ContentStore]:
        """A client that hears of no change: it knows the ring as it is now, though it may ask etcd for it."""
        async with EtcdClient.connect(self.etcd.endpoints) as client:
            async with Topology.follow(client) as topology:
                await topology.ready(_DEADLINE_S)
            async with ContentStore.connect(topology) as content:
                yield content

    @asynccontextmanager
    async def load(self, demand: Demand | None = None) -> AsyncIterator[Load]:
        """Readers and writers while the context lasts."""
        async with under_load(self.folder, self.etcd.endpoints, demand or Demand()) as load:
            yield load

    async def settled(self, files: Mapping[str, StoredFile]) -> None:
        """Wait until the ring is STABLE with each file on exactly its owners, then check all its bytes."""
        await self.stable()

        async def in_place() -> bool:
            wrong = misplaced((await self.topology.refresh()), self.nodes, files)
            assert not wrong, wrong
            return True

        await eventually(in_place, deadline_s=_DEADLINE_S, what="every file is on exactly its owners")
        assert await damaged(self.nodes, files) == []
        async with self.content() as content:
            await read_all(content, files)


async def read_all(content: ContentStore, files: Mapping[str, StoredFile]) -> None:
    """Read each file through the ring and check it."""
    for key, file in files.items():
        assert sha256(await content.get_bytes(key)) == file.sha256


@asynccontextmanager
async def running_cluster(folder: Path, rabbit: RabbitProcess, *, count: int) -> AsyncIterator[Cluster]:
    """A formed ring of `count` nodes with two copies of each file, and one admin."""
    async with AsyncExitStack() as stack:
        vhost = await stack.enter_async_context(virtual_host(rabbit))
        etcd = await stack.enter_async_context(etcd_members(folder / "etcd", count=1))
        client = await stack.enter_async_context(EtcdClient.connect(etcd.endpoints))
        topology = await stack.enter_async_context(Topology.follow(client))
        cluster = Cluster(folder=folder, etcd=etcd, vhost=vhost, client=client, topology=topology)
        stack.callback(cluster.stop)
        forming = {"TRITONTUBE_BOOTSTRAP_NODES": str(count)}
        await asyncio.gather(cluster.new_admin(forming), *(cluster.new_node() for _ in range(count)))
        await topology.ready(_DEADLINE_S)
        await cluster.stable()
        yield cluster
