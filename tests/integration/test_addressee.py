"""An address where another node answers than the one that was meant, or something else altogether."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc
import pytest
from grpc import StatusCode

from services.shared.bulk.connection import Connection
from services.shared.content.channels import Channels, addressed
from services.shared.errors import UnavailableError
from services.shared.rpc import CHANNEL_OPTIONS
from services.shared.sockets import split_address
from services.shared.stubs.tritontube.storage.v1 import bulk_pb2, storage_pb2, storage_pb2_grpc
from services.shared.video import new_video_id
from tests.harness.storage import StorageCluster, StorageNode
from tests.harness.waiting import eventually

OTHER = "node-00000000"


@pytest.fixture
def node(storage: StorageCluster) -> StorageNode:
    return storage.nodes[0]


async def test_what_is_meant_for_another_node_is_refused_by_every_call_but_one(storage, node):
    key, epoch = f"{new_video_id()}/file", storage.topology.view.epoch
    pb = storage_pb2
    async with grpc.aio.insecure_channel(node.address, options=CHANNEL_OPTIONS) as channel:
        stub = storage_pb2_grpc.StorageServiceStub(addressed(channel, OTHER))
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: stub.Put(iter([pb.PutRequest(header=pb.PutHeader(key=key, epoch=epoch))])),
            lambda: stub.Get(pb.GetRequest(key=key)).read(),
            lambda: stub.Has(pb.HasRequest(keys=[key])),
            lambda: stub.List(pb.ListRequest(everything=True)).read(),
            lambda: stub.Delete(pb.DeleteRequest(key=key, epoch=epoch)),
            lambda: stub.Offer(pb.OfferRequest(epoch=epoch)),
            lambda: stub.Verify(pb.VerifyRequest(keys=[key])),
            lambda: stub.Summarize(pb.SummarizeRequest()),
            lambda: stub.Mend(pb.MendRequest(keys=[key])),
        ]
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError, match=f"This is {node.id}, not {OTHER}.") as caught:
                await call()
            assert caught.value.code() is StatusCode.UNAVAILABLE
        assert (await stub.Describe(pb.DescribeRequest())).node_id == node.id


@pytest.mark.parametrize("meant", [OTHER, ""])
async def test_so_it_is_over_bulk_connections_and_who_does_not_say_is_answered(storage, node, meant):
    host, port = split_address(storage.topology.view.bulk_address(node.id))
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
    key, epoch = f"{new_video_id()}/file", storage.topology.view.epoch
    put = bulk_pb2.BulkRequest(node=meant, put=storage_pb2.PutHeader(key=key, epoch=epoch, size_bytes=7))
    put.commit.CopyFrom(storage_pb2.PutCommit(epoch=epoch, size_bytes=7, sha256=b"s" * 32))
    get = bulk_pb2.BulkRequest(node=meant, get=storage_pb2.GetRequest(key=key))
    said = []
    for request, body in ((put, b"content"), (get, b"")):
        await connection.send(request.SerializeToString(), body)
        head = await connection.head()
        assert head is not None
        said.append(bulk_pb2.BulkResponse.FromString(head.message).failure.details)
    connection.close()
    if meant:
        assert said == [f"This is {node.id}, not {OTHER}."] * 2
    else:
        assert said[0].startswith("The file arrived damaged")
        assert "copy" in said[1]


async def test_a_wiped_disk_at_a_nodes_address_makes_its_files_unavailable_not_missing(storage, content):
    key = f"{new_video_id()}/file"
    await content.put(key, b"content")
    await storage.at_its_owners(key)
    wiped, away = storage.owners(key)
    for owner in (wiped, away):
        owner.server.kill()
    empty = StorageNode(data=wiped.data.with_name("wiped"), etcd=storage.etcd.endpoints, port=wiped.port)
    empty.server.start()
    try:
        await empty.up()
        with pytest.raises(UnavailableError):
            await content.get_bytes(key)
        async with Channels.over(storage.topology) as channels:
            stub = await channels.stub(wiped.id)
            with pytest.raises(grpc.aio.AioRpcError, match="This is node-"):
                await stub.Has(storage_pb2.HasRequest(keys=[key]), timeout=10.0)
    finally:
        empty.server.kill()
        await storage.heal()
    assert await content.get_bytes(key) == b"content"


async def test_something_else_at_a_nodes_address_fails_neither_reads_nor_writes(storage, content):
    keys = [f"{new_video_id()}/file" for _ in range(8)]
    for key in keys:
        await content.put(key, key.encode())
        await storage.at_its_owners(key)
    gone = storage.owners(keys[0])[0]
    gone.server.kill()
    stranger = grpc.aio.server()
    await eventually(lambda: gone.id not in storage.topology.view.up, what="the node is missed")
    stranger.add_insecure_port(gone.address)
    await stranger.start()
    try:
        for key in keys:
            assert await content.get_bytes(key) == key.encode()
            await content.put(f"{new_video_id()}/file", os.urandom(1000))
    finally:
        await stranger.stop(grace=None)
        await storage.heal()


@dataclass
class Directory:
    """As much of a topology as channels need."""

    addresses: dict[str, str]

    @property
    def view(self) -> Directory:
        return self

    def address(self, node: str) -> str | None:
        return self.addresses.get(node)

    def bulk_address(self, _node: str) -> str:
        return ""


async def test_who_waits_for_a_connection_is_told_when_the_node_is_reached_elsewhere(storage):
    node = storage.nodes[0]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        directory = Directory({node.id: f"127.0.0.1:{silent.getsockname()[1]}"})
        channels = Channels(directory)  # type: ignore[arg-type]
        waiting = asyncio.create_task(channels.stub(node.id))
        await eventually(lambda: bool(channels._links), what="it waits")
        directory.addresses[node.id] = node.address
        await channels.stub(node.id)
        with pytest.raises(UnavailableError):
            await waiting
