"""File contents over bulk connections: asked of one real node as they are, and by the ring's client."""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from services.shared.bulk.call import Call
from services.shared.bulk.connection import Connection
from services.shared.bulk.pool import Pools
from services.shared.content import ContentStore
from services.shared.content.channels import Channels
from services.shared.content.putting import Patience, Step, put
from services.shared.errors import UnavailableError
from services.shared.rpc import CHUNK_BYTES, MAX_FILE_BYTES
from services.shared.sockets import split_address
from services.shared.stubs.tritontube.storage.v1 import bulk_pb2, storage_pb2
from services.shared.video import new_video_id
from tests.harness.ports import free_port
from tests.harness.storage import StorageCluster, StorageNode
from tests.harness.waiting import eventually

Frame = tuple[bulk_pb2.BulkRequest, bytes]


class Caller:
    """Says whatever it is told to on one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def send(self, *frames: Frame) -> None:
        for request, body in frames:
            await self.connection.send(request.SerializeToString(), body)

    async def answer(self) -> tuple[bulk_pb2.BulkResponse, bytes]:
        async with asyncio.timeout(60):
            head = await self.connection.head()
            assert head is not None, "the node has closed the connection"
            body = await self.connection.body(head)
        return bulk_pb2.BulkResponse.FromString(head.message), bytes(body)

    async def put(self, key: str, data: bytes, *, epoch: int) -> bulk_pb2.BulkResponse:
        await self.send(*frames_of(key, data, epoch=epoch))
        return (await self.answer())[0]

    async def get(self, key: str, *, offset: int = 0, length: int = 0) -> bytes:
        request = storage_pb2.GetRequest(key=key, offset_bytes=offset, length_bytes=length)
        await self.send((bulk_pb2.BulkRequest(get=request), b""))
        content, facts = bytearray(), None
        while True:
            answer, body = await self.answer()
            assert answer.failure == bulk_pb2.BulkFailure(), answer.failure
            assert answer.HasField("info") == (facts is None), "the facts come once, and first"
            facts = answer.info
            content += body
            if answer.last:
                return bytes(content)

    async def is_closed(self) -> None:
        async with asyncio.timeout(60):
            assert await self.connection.head() is None


def frames_of(key: str, data: bytes, *, epoch: int) -> list[Frame]:
    """As few as there can be."""
    chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)] or [b""]
    frames = [(bulk_pb2.BulkRequest(), chunk) for chunk in chunks]
    frames[0][0].put.CopyFrom(storage_pb2.PutHeader(key=key, epoch=epoch, size_bytes=len(data)))
    frames[-1][0].commit.CopyFrom(
        storage_pb2.PutCommit(epoch=epoch, size_bytes=len(data), sha256=hashlib.sha256(data).digest())
    )
    return frames


def unread_bytes(port: int) -> int:
    """What has come for a process that has not read it: `rx_queue` in `man proc_pid_net`."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[1].endswith(f":{port:04X}"))


@pytest.fixture
def node(storage: StorageCluster) -> StorageNode:
    return storage.nodes[0]


@pytest.fixture
def epoch(storage: StorageCluster) -> int:
    return storage.topology.view.epoch


@pytest.fixture
def key() -> str:
    return f"{new_video_id()}/file"


@pytest.fixture
async def calling(storage, node) -> AsyncIterator[Callable[[], Any]]:
    """Opens connections to the node."""
    async with AsyncExitStack() as stack:

        async def call() -> Caller:
            host, port = split_address(storage.topology.view.bulk_address(node.id))
            _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
            stack.callback(connection.close)
            return Caller(connection)

        yield call


async def leaves_nothing(node: StorageNode, key: str) -> None:
    await eventually(lambda: not list((node.data / "tmp").iterdir()), what="tmp is empty")
    assert await node.has(key) == set()


# ---- one node ----


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 12345]
)
async def test_a_file_comes_back_as_it_was_put_and_is_the_one_that_grpc_stores(
    calling, node, key, epoch, size
):
    caller, data = await calling(), os.urandom(size)
    answer = await caller.put(key, data, epoch=epoch)
    assert (answer.created, answer.last, answer.epoch) == (True, True, epoch)
    assert (answer.info.key, answer.info.size_bytes) == (key, size)
    assert answer.info.sha256 == hashlib.sha256(data).digest()
    assert await caller.get(key) == data
    await node.put(key, data, epoch=epoch)
    assert not (await caller.put(key, data, epoch=epoch)).created
    await leaves_nothing(node, f"{new_video_id()}/another")


async def test_ranges_are_exact(calling, key, epoch):
    caller, data = await calling(), os.urandom(3 * CHUNK_BYTES + 5)
    await caller.put(key, data, epoch=epoch)
    assert await caller.get(key, offset=1_000_000, length=1_500_000) == data[1_000_000:2_500_000]
    assert await caller.get(key, offset=len(data) - 5, length=100) == data[-5:]
    assert await caller.get(key, offset=len(data)) == b""


async def test_other_content_under_a_key_is_refused_and_the_connection_serves_on(calling, key, epoch):
    caller = await calling()
    assert (await caller.put(key, b"content", epoch=epoch)).created
    refused = await caller.put(key, b"CONTENT", epoch=epoch)
    assert refused.failure.status == StatusCode.ALREADY_EXISTS.value[0]
    assert await caller.get(key) == b"content"


async def test_what_breaks_the_rules_is_refused_with_the_codes_of_grpc_and_leaves_nothing(
    storage, calling, node, key
):
    newer = await storage.next_epoch()
    caller = await calling()
    await caller.put(f"{new_video_id()}/makes-it-catch-up", b"x", epoch=newer)
    cases: list[tuple[StatusCode, dict[str, Any], dict[str, Any]]] = [
        (StatusCode.INVALID_ARGUMENT, {"key": "../../etc/passwd"}, {}),
        (StatusCode.INVALID_ARGUMENT, {"size_bytes": MAX_FILE_BYTES + 1}, {}),
        (StatusCode.INVALID_ARGUMENT, {"size_bytes": 6}, {}),
        (StatusCode.INVALID_ARGUMENT, {}, {"sha256": b"short"}),
        (StatusCode.UNAVAILABLE, {}, {"sha256": b"s" * 32}),
        (StatusCode.UNAVAILABLE, {}, {"size_bytes": 6}),
        (StatusCode.UNAVAILABLE, {"epoch": newer + 1000}, {}),
        (StatusCode.FAILED_PRECONDITION, {"epoch": newer - 1}, {}),
        (StatusCode.FAILED_PRECONDITION, {}, {"epoch": newer - 1}),
    ]
    for code, header, commit in cases:
        ((request, body),) = frames_of(key, b"content", epoch=newer)
        for field, value in header.items():
            setattr(request.put, field, value)
        for field, value in commit.items():
            setattr(request.commit, field, value)
        await caller.send((request, body))
        refused = (await caller.answer())[0]
        assert (refused.failure.status, refused.last) == (code.value[0], True), (header, commit)
        assert refused.failure.epoch == (newer if code is StatusCode.FAILED_PRECONDITION else 0)
    missing = storage_pb2.GetRequest(key=key)
    await caller.send((bulk_pb2.BulkRequest(get=missing), b""))
    assert (await caller.answer())[0].failure.status == StatusCode.NOT_FOUND.value[0]
    await leaves_nothing(node, key)


async def test_a_sender_is_told_before_its_end_that_it_is_refused_and_what_it_still_sends_is_dropped(
    calling, key, epoch
):
    caller = await calling()
    await caller.put(key, b"content", epoch=epoch)
    first, *rest = frames_of(key, bytes(4 * CHUNK_BYTES), epoch=epoch + 1000)
    await caller.send(first)
    assert (await caller.answer())[0].failure.status == StatusCode.UNAVAILABLE.value[0]
    await caller.send(*rest)
    assert await caller.get(key) == b"content"


async def test_the_epoch_counts_at_the_commit_not_when_the_file_began(storage, calling, node, key, epoch):
    caller = await calling()
    *most, last = frames_of(key, bytes(4 * CHUNK_BYTES), epoch=epoch)
    await caller.send(*most)
    newer = await storage.next_epoch()
    await node.put(f"{new_video_id()}/makes-it-catch-up", b"x", epoch=newer)
    await caller.send(last)
    assert (await caller.answer())[0].failure.status == StatusCode.FAILED_PRECONDITION.value[0]
    await leaves_nothing(node, key)


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        b"\xff" * 64,
        struct.pack(">II", 3, 0) + b"\xff\xff\xff",
        struct.pack(">II", 0, 0),
        struct.pack(">II", 0, 7) + b"content",
        struct.pack(">II", 65537, 0),
        struct.pack(">II", 0, CHUNK_BYTES + 1),
    ],
)
async def test_what_is_not_the_protocol_ends_its_connection_and_nothing_else(calling, key, epoch, noise):
    caller, noisy = await calling(), await calling()
    noisy.connection._transport.write(noise)
    await noisy.is_closed()
    await caller.put(key, b"content", epoch=epoch)
    assert await caller.get(key) == b"content"


async def test_a_second_header_ends_the_connection_and_leaves_nothing(calling, node, key, epoch):
    caller = await calling()
    header = frames_of(key, bytes(3 * CHUNK_BYTES), epoch=epoch)[0]
    await caller.send(header, header)
    await caller.is_closed()
    await leaves_nothing(node, key)


async def test_a_sender_that_goes_away_in_the_middle_leaves_nothing(calling, node, key, epoch):
    caller = await calling()
    await caller.send(*frames_of(key, bytes(12 * CHUNK_BYTES), epoch=epoch)[:-1])
    await eventually(lambda: list((node.data / "tmp").iterdir()), what="an incoming object")
    caller.connection.close()
    await leaves_nothing(node, key)


async def test_readers_who_take_nothing_do_not_hold_up_others(calling, key, epoch):
    caller = await calling()
    data = os.urandom(MAX_FILE_BYTES)
    await caller.put(key, data, epoch=epoch)
    lazy = [await calling() for _ in range(20)]
    for reader in lazy:
        await reader.send((bulk_pb2.BulkRequest(get=storage_pb2.GetRequest(key=key)), b""))
    assert await caller.get(key) == data


async def test_a_damaged_block_ends_the_answer_and_none_of_it_is_sent(calling, node, key, epoch):
    caller = await calling()
    await caller.put(key, bytes(3 * CHUNK_BYTES), epoch=epoch)
    node.flip_bit(key, 2 * CHUNK_BYTES + 7)
    await caller.send((bulk_pb2.BulkRequest(get=storage_pb2.GetRequest(key=key)), b""))
    answers = [await caller.answer() for _ in range(3)]
    assert [len(body) for _, body in answers] == [CHUNK_BYTES, CHUNK_BYTES, 0]
    assert answers[-1][0].failure.status == StatusCode.DATA_LOSS.value[0]
    assert [answer.last for answer, _ in answers] == [False, False, True]


async def test_a_node_killed_while_a_file_is_on_its_way_keeps_none_of_it_and_takes_it_later(
    storage, calling, node, key, epoch
):
    caller, data = await calling(), os.urandom(CHUNK_BYTES)
    await caller.put(f"{new_video_id()}/before", b"x", epoch=epoch)
    port = split_address(storage.topology.view.bulk_address(node.id))[1]
    node.server.freeze()
    sending = asyncio.create_task(caller.send(*frames_of(key, data, epoch=epoch)))
    await eventually(lambda: unread_bytes(port) > len(data) // 10, what="part of the file has arrived")
    node.server.kill()
    await asyncio.wait([sending])
    await storage.heal()
    assert await node.has(key) == set()
    again = await calling()
    assert (await again.put(key, data, epoch=epoch)).created
    assert await again.get(key) == data


async def test_a_stopping_node_finishes_the_put_that_is_under_way_and_begins_no_other(
    storage, calling, node, key, epoch
):
    caller, idle = await calling(), await calling()
    *most, last = frames_of(key, bytes(8 * CHUNK_BYTES), epoch=epoch)
    await caller.send(*most)
    await eventually(lambda: list((node.data / "tmp").iterdir()), what="an incoming object")
    ended = asyncio.create_task(asyncio.to_thread(node.server.stop))
    await idle.is_closed()
    await caller.send(last)
    assert (await caller.answer())[0].created
    await caller.is_closed()
    assert await ended == 0
    await storage.heal()
    assert await node.has(key) == {key}


# ---- the ring's client ----


class WithoutGrpc(Channels):
    """Fails where anything else than a bulk connection is asked for."""

    async def stub(self, node: str) -> Any:
        raise AssertionError(f"{node} was asked over gRPC")


@asynccontextmanager
async def bulk_only(storage: StorageCluster) -> AsyncIterator[ContentStore]:
    async with WithoutGrpc.over(storage.topology) as channels:
        yield ContentStore(storage.topology, channels, memory_bytes=64 << 20)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES + 1, MAX_FILE_BYTES])
async def test_the_client_puts_and_gets_over_bulk_connections_alone(storage, key, size):
    data = os.urandom(size)
    async with bulk_only(storage) as content:
        await content.put(key, data)
        assert await content.get_bytes(key) == data
        assert await content.get_bytes(key, offset=size // 2, length=1000) == data[size // 2 :][:1000]


async def test_connections_are_used_again(storage, key):
    async with bulk_only(storage) as content:
        for number in range(30):
            await content.put(f"{key}{number}", b"content")
            assert await content.get_bytes(f"{key}{number}") == b"content"
        pools = content._nodes._channels._pools
        assert all(len(idle) <= 2 for idle in pools._idle.values())


async def test_a_reader_that_stops_in_the_middle_gives_back_no_half_used_connection(storage, key):
    data = os.urandom(8 * CHUNK_BYTES)
    async with bulk_only(storage) as content:
        await content.put(key, data)
        for _ in range(5):
            async with await content.open(key) as reader:
                assert await anext(aiter(reader)) == data[:CHUNK_BYTES]
            assert await content.get_bytes(key) == data


async def test_a_client_notices_at_once_that_a_node_came_back_at_the_same_bulk_address(storage):
    spare = await storage.candidate("--bulk-listen", f"127.0.0.1:{free_port()}")
    try:
        async with Channels.over(storage.topology) as channels:
            address = storage.topology.live[spare.id].bulk
            line = await channels._pools.take(address)
            assert line is not None
            channels._pools.keep(address, line.connection)
            spare.server.kill()
            await eventually(lambda: line.connection.lost, what="the client knows that it is gone")
            spare.server.start()
            await spare.up()
            fresh = await channels._pools.take(address)
            assert fresh is not None
            assert not fresh.reused
            fresh.connection.close()
    finally:
        spare.server.kill()
        storage.nodes.remove(spare)


class Forgetful:
    """Answers so many calls on each connection, then closes it on the next one, unheard."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._talks: set[asyncio.Task[None]] = set()

    def accept(self, connection: Connection) -> None:
        self._talks.add(asyncio.get_running_loop().create_task(self._talk(connection)))

    async def _talk(self, connection: Connection) -> None:
        for _ in range(self._calls):
            head = await connection.head()
            if head is None:
                return
            await connection.body(head)
            put = bulk_pb2.BulkRequest.FromString(head.message).put
            answer = bulk_pb2.BulkResponse(info=storage_pb2.FileInfo(key=put.key), created=True, last=True)
            await connection.send(answer.SerializeToString())
        await connection.head()
        connection.close()


class OneAddress(Channels):
    """Leads to one address, over bulk connections alone."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._pools = Pools()

    async def bulk(self, node: str) -> Call | None:
        line = await self._pools.take(self._address)
        return Call(node, self._address, line, self._pools) if line else None


@asynccontextmanager
async def leading_to(node: Forgetful) -> AsyncIterator[OneAddress]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(node.accept), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield OneAddress(f"{host}:{port}")
    server.close()


async def small_put(channels: Channels, key: str) -> str:
    async def file() -> AsyncGenerator[Step, None]:
        header = storage_pb2.PutHeader(key=key, epoch=1, size_bytes=7)
        yield Step(header, b"content", storage_pb2.PutCommit(epoch=1, size_bytes=7, sha256=b"s" * 32))

    return (await put(channels, "node", file, patience=Patience(10, 10))).key


async def test_a_call_on_a_kept_connection_that_the_node_has_closed_is_made_again():
    async with leading_to(Forgetful(calls=1)) as channels:
        for number in range(5):
            assert await small_put(channels, f"video/{number}") == f"video/{number}"


async def test_a_node_that_closes_a_fresh_connection_unheard_is_away():
    async with leading_to(Forgetful(calls=0)) as channels:
        with pytest.raises(UnavailableError):
            await small_put(channels, "video/file")


async def test_a_bulk_address_that_cannot_be_reached_is_left_alone_for_a_while(storage):
    async with Channels.over(storage.topology) as channels:
        dead, pauses_s = f"127.0.0.1:{free_port()}", []
        for _ in range(3):
            assert await channels._pools.take(dead) is None
            pause = channels._pools._avoided[dead]
            pauses_s.append(pause.length_s)
            assert await channels._pools.take(dead) is None
            assert channels._pools._avoided[dead] == pause, "it was not tried again"
            channels._pools._avoided[dead] = pause._replace(until=0)  # the time is over
        assert pauses_s == [30, 60, 120]
