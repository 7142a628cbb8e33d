"""Real storage nodes on loopback, in a ring over a real etcd, to be killed, frozen, filled and damaged."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import grpc

from services.admin.membership.coordinator import Coordinator
from services.shared.content import ContentStore
from services.shared.etcd import EtcdClient
from services.shared.ring.placement import partition_of
from services.shared.rpc import CHANNEL_OPTIONS, CHUNK_BYTES
from services.shared.stubs.tritontube.storage.v1 import storage_pb2, storage_pb2_grpc
from services.shared.topology import Topology
from services.shared.video import new_video_id
from services.storage.disk.disk import object_name
from tests.harness.etcd import EtcdCluster
from tests.harness.ports import free_port
from tests.harness.ring import publish
from tests.harness.server_process import ServerProcess
from tests.harness.waiting import eventually

_READY_DEADLINE_S = 60.0


@dataclass(kw_only=True)
class StorageNode:
    """One node: a process, its address and its disk."""

    data: Path
    etcd: Sequence[str]
    options: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    server: ServerProcess = field(init=False)

    def __post_init__(self) -> None:
        self.server = ServerProcess(
            command=[
                *(sys.executable, "-m", "services.storage"),
                *("--data", str(self.data), "--listen", self.address),
                *("--etcd-endpoints", ",".join(self.etcd), "--instance", self.data.name),
                *self.options,
            ],
            log=self.data.with_suffix(".log"),
        )

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def id(self) -> str:
        """Its name in the ring, which its disk decides."""
        return str(json.loads((self.data / "node.json").read_bytes())["node_id"])

    @asynccontextmanager
    async def stub(self) -> AsyncIterator[storage_pb2_grpc.StorageServiceAsyncStub]:
        """Talk to this very node."""
        async with grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS) as channel:
            yield storage_pb2_grpc.StorageServiceStub(channel)

    async def describe(self) -> storage_pb2.DescribeResponse:
        """What it says of itself."""
        async with self.stub() as stub:
            return await stub.Describe(storage_pb2.DescribeRequest(), timeout=2.0)

    async def up(self) -> None:
        """Wait until it answers."""
        await self._wait_for(lambda _: True, "answers")

    async def writable(self) -> None:
        """Wait until it takes writes."""
        await self._wait_for(lambda answer: not answer.read_only_reason, "takes writes")

    async def refuses_writes(self, why: str) -> None:
        """Wait until it takes no writes, for a reason that contains `why`."""
        await self._wait_for(lambda answer: why in answer.read_only_reason, f"refuses writes: {why}")

    async def keys(self, video_id: str) -> set[str]:
        """What it lists of a video."""
        async with self.stub() as stub:
            pages = stub.List(storage_pb2.ListRequest(video_id=video_id), timeout=10.0)
            return {file.key async for page in pages for file in page.files}

    async def has(self, *keys: str) -> set[str]:
        """Which of the keys it holds durably."""
        async with self.stub() as stub:
            answer = await stub.Has(storage_pb2.HasRequest(keys=keys), timeout=10.0)
            return {file.key for file in answer.files}

    async def put(self, key: str, data: bytes, *, epoch: int) -> None:
        """Give it a copy, as a writer or another node would."""
        put, digest = storage_pb2.PutRequest, hashlib.sha256(data).digest()
        requests = [
            put(header=storage_pb2.PutHeader(key=key, epoch=epoch)),
            *(put(chunk=data[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES)),
            put(commit=storage_pb2.PutCommit(epoch=epoch, size_bytes=len(data), sha256=digest)),
        ]
        async with self.stub() as stub:
            await stub.Put(iter(requests), timeout=30.0)

    async def drop(self, key: str, *, epoch: int) -> None:
        """Take its copy away, as the ring would: that is no loss to be mended."""
        async with self.stub() as stub:
            request = storage_pb2.DeleteRequest(key=key, epoch=epoch)
            assert (await stub.Delete(request, timeout=30.0)).deleted

    def object_path(self, key: str) -> Path:
        """Where a key's object lies on its disk."""
        name = object_name(key)
        return self.data / "objects" / name[:3] / name[3:5] / name

    def flip_bit(self, key: str, position: int) -> None:
        """Damage a stored object."""
        path = self.object_path(key)
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        with path.open("r+b") as file:
            file.write(data)

    async def _wait_for(self, fits: Callable[[storage_pb2.DescribeResponse], bool], what: str) -> None:
        async def asked() -> bool:
            assert self.server.running, self.server.log_tail()
            return fits(await self.describe())

        await eventually(asked, deadline_s=_READY_DEADLINE_S, what=f"storage node {self.data.name} {what}")


@dataclass(kw_only=True)
class StorageCluster:
    """Nodes that form a ring."""

    etcd: EtcdCluster
    nodes: list[StorageNode]
    client: EtcdClient
    topology: Topology

    async def candidate(self, *options: str) -> StorageNode:
        """Start one more node, which is no member of the ring."""
        node = StorageNode(
            data=self.nodes[0].data.with_name(f"s{len(self.nodes)}"),
            etcd=self.etcd.endpoints,
            options=options,
        )
        self.nodes.append(node)
        node.server.start()
        await node.up()
        await eventually(lambda: node.id in self.topology.live, deadline_s=60, what="the candidate is live")
        return node

    @asynccontextmanager
    async def content(self, *, memory_bytes: int = 64 << 20) -> AsyncIterator[ContentStore]:
        """A client of the ring of its own, as another process would have it."""
        async with (
            EtcdClient.connect(self.etcd.endpoints) as etcd,
            Topology.follow(etcd) as topology,
        ):
            await topology.ready(_READY_DEADLINE_S)
            async with ContentStore.connect(topology, memory_bytes=memory_bytes) as content:
                yield content

    def node(self, node_id: str) -> StorageNode:
        """The node with this name in the ring."""
        return next(node for node in self.nodes if node.id == node_id)

    def owners(self, key: str) -> list[StorageNode]:
        """The nodes that own a key, in the order in which readers ask them."""
        owners = self.topology.view.owners(partition_of(key))
        return [self.node(node) for node in self.topology.view.read_order(key) if node in owners]

    def others(self, key: str) -> list[StorageNode]:
        """The nodes that do not own a key."""
        return [node for node in self.nodes if node not in self.owners(key)]

    async def at_its_owners(self, key: str) -> None:
        """Wait until all owners hold a file: one that was slow may have got its copy late."""

        async def there() -> bool:
            return all([await node.has(key) for node in self.owners(key)])

        await eventually(there, deadline_s=60, what=f"all owners hold {key}")

    def key_read_first_from(self, node: StorageNode, video_id: str | None = None) -> str:
        """A fresh key that readers ask `node` for before any other."""
        video_id = video_id or new_video_id()
        keys = (f"{video_id}/file-{number}" for number in count())
        return next(key for key in keys if self.owners(key)[0] is node)

    async def heal(self) -> None:
        """Undo whatever a test did to the processes."""
        await self.etcd.heal()
        for node in self.nodes:
            node.server.revive()
        for node in self.nodes:
            await node.writable()
        ids = {node.id for node in self.nodes}
        await eventually(lambda: self.topology.view.up >= ids, deadline_s=60, what="all nodes are live")

    async def next_epoch(self) -> int:
        """Publish the same ring under the next epoch."""
        state = (await self.topology.refresh()).state
        state = state.model_copy(update={"epoch": state.epoch + 1})
        await publish(self.client, state)
        return state.epoch


@asynccontextmanager
async def storage_cluster(
    folder: Path, etcd: EtcdCluster, *, count: int = 3, replicas: int = 2, options: Sequence[str] = ()
) -> AsyncIterator[StorageCluster]:
    """Run `count` nodes with their disks below `folder`, formed into a ring."""
    nodes = [
        StorageNode(data=folder / f"s{number}", etcd=etcd.endpoints, options=options)
        for number in range(count)
    ]
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(EtcdClient.connect(etcd.endpoints))
        topology = await stack.enter_async_context(Topology.follow(client))
        stack.callback(_end, nodes)
        for node in nodes:
            node.server.start()
        for node in nodes:
            await node.up()
        async with asyncio.timeout(_READY_DEADLINE_S):
            await Coordinator(client, topology, replicas=replicas, bootstrap_nodes=count).form()
            await topology.ready(_READY_DEADLINE_S)
        cluster = StorageCluster(etcd=etcd, nodes=nodes, client=client, topology=topology)
        await cluster.heal()
        yield cluster


def sha256(data: bytes) -> str:
    """Hexadecimal, as files carry it."""
    return hashlib.sha256(data).hexdigest()


def _end(nodes: Iterable[StorageNode]) -> None:
    for node in nodes:
        if node.server.running:
            node.server.kill()
