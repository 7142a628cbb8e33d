"""One node's own promises, asked for over gRPC without the ring's client in between."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.shared.rpc import CHUNK_BYTES, EPOCH_METADATA, MAX_FILE_BYTES
from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from services.shared.video import new_video_id
from tests.harness.storage import StorageCluster, StorageNode
from tests.harness.waiting import eventually


def put_requests(
    key: str, data: bytes, *, epoch: int, commit_epoch: int | None = None
) -> list[storage_pb2.PutRequest]:
    chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    commit = storage_pb2.PutCommit(
        epoch=commit_epoch or epoch, size_bytes=len(data), sha256=hashlib.sha256(data).digest()
    )
    return [
        storage_pb2.PutRequest(header=storage_pb2.PutHeader(key=key, epoch=epoch)),
        *(storage_pb2.PutRequest(chunk=chunk) for chunk in chunks),
        storage_pb2.PutRequest(commit=commit),
    ]


async def put(node: StorageNode, key: str, data: bytes, *, epoch: int) -> storage_pb2.PutResponse:
    async with node.stub() as stub:
        return await stub.Put(iter(put_requests(key, data, epoch=epoch)), timeout=30.0)


async def get(node: StorageNode, key: str, *, offset: int = 0, length: int = 0) -> bytes:
    async with node.stub() as stub:
        request = storage_pb2.GetRequest(key=key, offset_bytes=offset, length_bytes=length)
        return b"".join([message.chunk async for message in stub.Get(request, timeout=30.0)])


def refused_with(code: StatusCode):
    return pytest.raises(grpc.aio.AioRpcError, check=lambda error: error.code() is code)


@pytest.fixture
def node(storage: StorageCluster) -> StorageNode:
    return storage.nodes[0]


@pytest.fixture
def epoch(storage: StorageCluster) -> int:
    return storage.topology.view.epoch


@pytest.fixture
def key() -> str:
    return f"{new_video_id()}/file"


async def test_a_file_comes_back_as_it_was_put_whole_and_in_ranges(node, key, epoch):
    data = os.urandom(3 * CHUNK_BYTES * 4 + 12345)
    answer = await put(node, key, data, epoch=epoch)
    assert answer.created
    assert (answer.info.key, answer.info.size_bytes) == (key, len(data))
    assert answer.info.sha256 == hashlib.sha256(data).digest()
    assert await get(node, key) == data
    assert await get(node, key, offset=1_000_000, length=1_500_000) == data[1_000_000:2_500_000]
    assert await get(node, key, offset=len(data) - 5, length=100) == data[-5:]
    assert await get(node, key, offset=len(data)) == b""
    with refused_with(StatusCode.INVALID_ARGUMENT):
        await get(node, key, offset=len(data) + 1)


@pytest.mark.parametrize("data", [b"", b"x", bytes(2 * CHUNK_BYTES + 1)])
@pytest.mark.parametrize("joined", [True, False])
async def test_the_facts_come_first_and_with_data_only_for_those_who_know_of_that(
    node, key, epoch, data, joined
):
    await put(node, key, data, epoch=epoch)
    async with node.stub() as stub:
        request = storage_pb2.GetRequest(key=key, joined=joined)
        messages = [message async for message in stub.Get(request, timeout=30.0)]
    assert messages[0].info.size_bytes == len(data)
    assert bool(messages[0].chunk) == (joined and bool(data))
    assert not any(message.HasField("info") for message in messages[1:])
    assert b"".join(message.chunk for message in messages) == data


async def test_the_same_content_again_is_fine_and_other_content_is_refused(node, key, epoch):
    assert (await put(node, key, b"content", epoch=epoch)).created
    assert not (await put(node, key, b"content", epoch=epoch)).created
    with refused_with(StatusCode.ALREADY_EXISTS):
        await put(node, key, b"CONTENT", epoch=epoch)
    assert await get(node, key) == b"content"


async def test_of_many_puts_at_once_of_one_key_the_first_content_wins(node, key, epoch):
    contents = [bytes([number]) * 300_000 for number in range(8)]
    answers = await asyncio.gather(
        *(put(node, key, data, epoch=epoch) for data in contents for _ in range(3)), return_exceptions=True
    )
    stored = await get(node, key)
    created = [answer for answer in answers if not isinstance(answer, BaseException) and answer.created]
    assert len(created) == 1
    for data, answer in zip([data for data in contents for _ in range(3)], answers, strict=True):
        if data == stored:
            assert not isinstance(answer, BaseException)
        else:
            assert isinstance(answer, grpc.aio.AioRpcError)
            assert answer.code() is StatusCode.ALREADY_EXISTS


async def test_a_write_of_an_older_epoch_is_refused_and_tells_the_newer_one(storage, node, key):
    newer = await storage.next_epoch()
    await put(node, f"{new_video_id()}/makes-it-catch-up", b"x", epoch=newer)
    with refused_with(StatusCode.FAILED_PRECONDITION) as caught:
        await put(node, key, b"content", epoch=newer - 1)
    assert dict(caught.value.trailing_metadata() or ())[EPOCH_METADATA] == str(newer)
    assert await node.has(key) == set()


async def test_a_write_of_a_newer_epoch_makes_the_node_read_the_ring_first(storage, node, key):
    newer = await storage.next_epoch()
    answer = await put(node, key, b"content", epoch=newer)
    assert answer.epoch == newer


async def test_a_write_of_an_epoch_that_nobody_published_is_not_taken(node, key, epoch):
    with refused_with(StatusCode.UNAVAILABLE):
        await put(node, key, b"content", epoch=epoch + 1000)


async def test_the_epoch_counts_at_the_commit_not_when_the_stream_began(storage, node, key, epoch):
    begun, changed = asyncio.Event(), asyncio.Event()
    first, *rest = put_requests(key, b"x" * CHUNK_BYTES * 8, epoch=epoch)

    async def slowly() -> AsyncIterator[storage_pb2.PutRequest]:
        yield first
        for request in rest[:-1]:
            yield request
        begun.set()
        await changed.wait()
        yield rest[-1]

    async with node.stub() as stub:
        call = stub.Put(slowly(), timeout=60.0)
        await begun.wait()
        newer = await storage.next_epoch()
        await put(node, f"{new_video_id()}/makes-it-catch-up", b"x", epoch=newer)
        changed.set()
        with refused_with(StatusCode.FAILED_PRECONDITION):
            await call
    assert await node.has(key) == set()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "no-slash",
        "../../etc/passwd",
        "0123456789abcdef/../x",
        "0123456789abcdef/a/b",
        "0123456789abcdef/",
    ],
)
async def test_a_malformed_key_is_refused_by_every_call(node, epoch, bad):
    async with node.stub() as stub:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: put(node, bad, b"x", epoch=epoch),
            lambda: get(node, bad),
            lambda: stub.Has(storage_pb2.HasRequest(keys=[bad])),
            lambda: stub.Delete(storage_pb2.DeleteRequest(key=bad, epoch=epoch)),
        ]
        for call in calls:
            with refused_with(StatusCode.INVALID_ARGUMENT):
                await call()


async def test_a_stream_that_breaks_the_rules_is_refused_and_leaves_nothing(node, key, epoch):
    header, chunk, commit = put_requests(key, b"content", epoch=epoch)
    wrong_size = storage_pb2.PutRequest(
        commit=storage_pb2.PutCommit(epoch=epoch, size_bytes=3, sha256=b"s" * 32)
    )
    no_hash = storage_pb2.PutRequest(commit=storage_pb2.PutCommit(epoch=epoch, size_bytes=7))
    cases = {
        StatusCode.INVALID_ARGUMENT: [
            [],
            [chunk],
            [header, chunk],
            [header, header],
            [header, chunk, no_hash],
        ],
        StatusCode.UNAVAILABLE: [[header, chunk, wrong_size], [header, commit]],
    }
    for code, streams in cases.items():
        for stream in streams:
            async with node.stub() as stub:
                with refused_with(code):
                    await stub.Put(iter(stream), timeout=30.0)
    assert await node.has(key) == set()
    await eventually(lambda: not list((node.data / "tmp").iterdir()), what="tmp is empty")


async def test_a_file_over_the_limit_is_refused_whether_announced_or_not(node, key, epoch):
    announced = storage_pb2.PutHeader(key=key, epoch=epoch, size_bytes=MAX_FILE_BYTES + 1)
    async with node.stub() as stub:
        with refused_with(StatusCode.INVALID_ARGUMENT):
            await stub.Put(iter([storage_pb2.PutRequest(header=announced)]), timeout=30.0)
    with refused_with(StatusCode.INVALID_ARGUMENT):
        await put(node, key, bytes(MAX_FILE_BYTES + 1), epoch=epoch)
    await eventually(lambda: not list((node.data / "tmp").iterdir()), what="tmp is empty")


async def test_a_sender_that_goes_away_mid_put_leaves_nothing(node, key, epoch):
    sent = asyncio.Event()

    async def endless() -> AsyncIterator[storage_pb2.PutRequest]:
        yield put_requests(key, b"", epoch=epoch)[0]
        for _ in range(12):
            yield storage_pb2.PutRequest(chunk=bytes(CHUNK_BYTES))
        sent.set()
        await asyncio.Event().wait()

    async with node.stub() as stub:
        call = stub.Put(endless())
        await sent.wait()
        await eventually(lambda: list((node.data / "tmp").iterdir()), what="an incoming object")
        call.cancel()
    await eventually(lambda: not list((node.data / "tmp").iterdir()), what="tmp is empty")
    assert await node.has(key) == set()


async def test_lists_are_complete_and_in_order(node, epoch):
    video_id, other_id = new_video_id(), new_video_id()
    keys = sorted([f"{video_id}/f{number}" for number in range(30)])
    for key in [*keys, f"{other_id}/f0"]:
        await put(node, key, key.encode(), epoch=epoch)
    async with node.stub() as stub:
        pages = stub.List(storage_pb2.ListRequest(video_id=video_id))
        assert [file.key async for page in pages for file in page.files] == keys
        everything = stub.List(storage_pb2.ListRequest(everything=True))
        held = [file.key async for page in everything for file in page.files]
        assert set(held) >= {*keys, f"{other_id}/f0"}
        assert len(held) == (await node.describe()).files
        for wrong in (storage_pb2.ListRequest(), storage_pb2.ListRequest(partition=4096)):
            with refused_with(StatusCode.INVALID_ARGUMENT):
                _ = [page async for page in stub.List(wrong)]


async def test_a_deleted_copy_is_gone_and_deleting_it_again_is_fine(node, key, epoch):
    await put(node, key, b"content", epoch=epoch)
    async with node.stub() as stub:
        assert (await stub.Delete(storage_pb2.DeleteRequest(key=key, epoch=epoch))).deleted
        assert not (await stub.Delete(storage_pb2.DeleteRequest(key=key, epoch=epoch))).deleted
    with refused_with(StatusCode.NOT_FOUND):
        await get(node, key)
    assert await node.keys(key.partition("/")[0]) == set()


async def test_a_flipped_bit_is_never_served_and_the_copy_counts_as_absent(node, epoch):
    video_id, data = new_video_id(), os.urandom(3_000_000)
    whole_in_one_block, in_a_later_block, trailer = (f"{video_id}/{name}" for name in ("one", "later", "end"))
    for key in (in_a_later_block, trailer):
        await put(node, key, data, epoch=epoch)
    await put(node, whole_in_one_block, data[:1000], epoch=epoch)
    node.flip_bit(whole_in_one_block, 500)
    node.flip_bit(in_a_later_block, 2_500_000)
    node.flip_bit(trailer, len(data) + 3)
    for key, code in {
        whole_in_one_block: StatusCode.DATA_LOSS,
        in_a_later_block: StatusCode.DATA_LOSS,
        trailer: StatusCode.NOT_FOUND,
    }.items():
        with refused_with(code):
            await get(node, key)
        with refused_with(StatusCode.NOT_FOUND):
            await get(node, key)
    assert await node.has(whole_in_one_block, in_a_later_block, trailer) == set()
    assert await node.keys(video_id) == set()
    assert len(list((node.data / "quarantine").iterdir())) >= 3
    assert (await put(node, in_a_later_block, data, epoch=epoch)).created
    assert await get(node, in_a_later_block) == data


async def test_a_node_killed_in_the_middle_of_a_put_shows_nothing_of_it(storage, node, key, epoch):
    sent = asyncio.Event()

    async def endless() -> AsyncIterator[storage_pb2.PutRequest]:
        yield put_requests(key, b"", epoch=epoch)[0]
        for _ in range(12):
            yield storage_pb2.PutRequest(chunk=bytes(CHUNK_BYTES))
        sent.set()
        await asyncio.Event().wait()

    async with node.stub() as stub:
        call = stub.Put(endless())
        await sent.wait()
        await eventually(lambda: list((node.data / "tmp").iterdir()), what="an incoming object")
        node.server.kill()
        with refused_with(StatusCode.UNAVAILABLE):
            await call
    await storage.heal()
    assert not list((node.data / "tmp").iterdir())
    with refused_with(StatusCode.NOT_FOUND):
        await get(node, key)


@pytest.mark.parametrize("round_number", range(3))
async def test_after_a_kill_under_load_every_acknowledged_file_is_there(node, epoch, round_number):
    video_id, acknowledged = new_video_id(), dict[str, bytes]()

    async def write(number: int) -> None:
        for count in range(1000):
            key, data = f"{video_id}/w{number}-{count}", os.urandom(20_000 * (1 + number))
            await put(node, key, data, epoch=epoch)
            acknowledged[key] = data

    writers = [asyncio.create_task(write(number)) for number in range(6)]
    await eventually(lambda: len(acknowledged) > 60 + 40 * round_number, what="files are acknowledged")
    node.server.kill()
    for outcome in await asyncio.gather(*writers, return_exceptions=True):
        assert isinstance(outcome, grpc.aio.AioRpcError)
    kept = dict(acknowledged)
    node.server.start()
    await node.up()
    for key, data in kept.items():
        assert await get(node, key) == data
    await node.writable()
    listed = await eventually(lambda: node.keys(video_id), what="the rescan is over")
    assert listed >= set(kept)


async def test_a_clean_stop_answers_zero_and_needs_no_rescan(node, key, epoch):
    await put(node, key, b"content", epoch=epoch)
    assert node.server.stop() == 0
    assert not (node.data / "running").exists()
    node.server.start()
    await node.up()
    assert await node.keys(key.partition("/")[0]) == {key}


async def test_a_lost_index_is_built_again_from_the_objects(storage, node, key, epoch):
    await put(node, key, b"content", epoch=epoch)
    node.server.kill()
    for file in node.data.glob("index.sqlite*"):
        file.write_bytes(b"garbage")
    await storage.heal()
    assert await eventually(lambda: node.keys(key.partition("/")[0]), what="the rescan is over") == {key}


async def run_node(*options: str) -> subprocess.CompletedProcess[str]:
    """Run a node that is expected to end by itself."""
    command = [sys.executable, "-m", "services.storage", *options]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=False
    )


async def test_a_second_process_on_the_same_folder_says_so_and_ends(node):
    second = await run_node("--data", str(node.data), "--listen", "127.0.0.1:1")
    assert second.returncode == 1
    assert f"in use by the storage node with process id {node.server.process.pid}" in second.stderr


async def test_a_copied_disk_takes_no_writes_and_says_so_once_until_it_is_the_only_one(
    storage, node, tmp_path
):
    twin = StorageNode(data=tmp_path / "twin", etcd=storage.etcd.endpoints)
    twin.data.mkdir()
    shutil.copy(node.data / "node.json", twin.data)
    twin.server.start()
    try:
        await twin.refuses_writes(f"{node.address} says that it is this node: was the disk copied?")
        node.server.kill()  # its lease lives on for seconds, and the twin asks twice in each
        await twin.writable()
        log = twin.server.log.read_text()
    finally:
        twin.server.kill()
    assert log.count("was the disk copied?") == 1
    assert log.count("The other process is gone") == 1


async def test_wrong_settings_are_a_sentence_and_exit_code_2():
    wrong = await run_node("--listen", "nonsense")
    assert wrong.returncode == 2
    assert "TRITONTUBE_LISTEN" in wrong.stderr
    assert "Traceback" not in wrong.stderr


async def test_health_and_reflection_answer(node):
    async with grpc.aio.insecure_channel(node.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(
            health_pb2.HealthCheckRequest(service="tritontube.storage.v1.StorageService"), timeout=10.0
        )
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_without_etcd_reads_go_on_and_writes_are_unavailable(storage, node, key, epoch):
    await put(node, key, b"content", epoch=epoch)
    for member in storage.etcd.members:
        member.kill()
    await node.refuses_writes("lease")
    assert await get(node, key) == b"content"
    with refused_with(StatusCode.UNAVAILABLE):
        await put(node, f"{new_video_id()}/file", b"content", epoch=epoch)
    await storage.etcd.heal()
    await node.writable()
    await put(node, f"{new_video_id()}/file", b"content", epoch=epoch)


async def test_a_node_started_without_etcd_serves_reads_and_takes_no_writes(storage, node, key, epoch):
    await put(node, key, b"content", epoch=epoch)
    node.server.kill()
    for member in storage.etcd.members:
        member.kill()
    node.server.start()
    await node.up()
    assert await get(node, key) == b"content"
    with refused_with(StatusCode.UNAVAILABLE):
        await put(node, f"{new_video_id()}/file", b"content", epoch=epoch)


async def test_a_stopping_node_finishes_the_put_that_is_under_way(storage, node, key, epoch):
    first, *rest = put_requests(key, b"x" * CHUNK_BYTES * 8, epoch=epoch)
    begun, stopping = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[storage_pb2.PutRequest]:
        yield first
        for request in rest[:-1]:
            yield request
        begun.set()
        await stopping.wait()
        yield rest[-1]

    async with node.stub() as stub:
        call = stub.Put(slowly(), timeout=60.0)
        await begun.wait()
        await eventually(lambda: list((node.data / "tmp").iterdir()), what="an incoming object")
        ended = asyncio.create_task(asyncio.to_thread(node.server.stop))
        await eventually(lambda: is_refusing(node), what="the node stops")
        stopping.set()
        assert (await call).created
    assert await ended == 0
    await storage.heal()
    assert await node.has(key) == {key}


async def is_refusing(node: StorageNode) -> bool:
    try:
        await node.describe()
    except grpc.aio.AioRpcError:
        return True
    return False
