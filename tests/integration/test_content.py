"""The ring's client over three real nodes with two copies of each file, while nodes die, freeze and rot."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from services.shared.content import MAX_FILE_BYTES
from services.shared.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from services.shared.ring.placement import partition_of
from services.shared.ring.state import Phase
from services.shared.ring.table import RingTable
from services.shared.video import new_video_id
from tests.harness.ring import publish
from tests.harness.storage import StorageCluster, StorageNode, sha256
from tests.harness.waiting import eventually


@pytest.fixture
def key() -> str:
    return f"{new_video_id()}/file"


async def pieces_of(data: bytes, *, seed: int = 1) -> AsyncIterator[bytes]:
    lengths = random.Random(seed)
    while data:
        length = lengths.randrange(1, 700_000)
        yield data[:length]
        data = data[length:]


async def holders(storage, key) -> set[str]:
    return {node.id for node in storage.nodes if key in await node.has(key)}


async def on_all_owners(storage: StorageCluster, key: str, owners: set[str] | None = None) -> None:
    """Wait until exactly its owners hold a file: a slow one may get its copy late, or a stand-in has it."""
    wanted = owners or {node.id for node in storage.owners(key)}

    async def there() -> bool:
        return await holders(storage, key) == wanted

    await eventually(there, what=f"{key} is on its owners and nowhere else")


# ---- writing ----


async def test_a_file_is_on_all_its_owners_and_reads_back(storage, content, key):
    data = os.urandom(5_000_000)
    stored = await content.put(key, data)
    assert (stored.key, stored.size_bytes, stored.sha256) == (key, len(data), sha256(data))
    await on_all_owners(storage, key)
    assert await content.get_bytes(key) == data
    assert await content.stat(key) == stored


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, MAX_FILE_BYTES])
async def test_every_size_up_to_the_limit_is_stored_in_one_piece_or_many(content, key, size):
    data = os.urandom(size)
    assert (await content.put(key, data)).size_bytes == size
    streamed = await content.put(f"{new_video_id()}/file", pieces_of(data))
    assert (streamed.size_bytes, streamed.sha256) == (size, sha256(data))
    assert await content.get_bytes(key) == data


async def test_what_is_too_large_is_refused_and_nothing_is_kept(storage, content, key):
    with pytest.raises(TooLargeError):
        await content.put(key, bytes(MAX_FILE_BYTES + 1))
    with pytest.raises(TooLargeError):
        await content.put(key, pieces_of(bytes(MAX_FILE_BYTES + 1)))
    with pytest.raises(TooLargeError):
        await content.put(key, pieces_of(b"12345"), size_bytes=4)
    assert await holders(storage, key) == set()


async def test_a_source_that_fails_is_reported_as_it_failed_and_nothing_is_kept(storage, content, key):
    async def failing() -> AsyncIterator[bytes]:
        yield bytes(1_000_000)
        raise ConnectionResetError("the user has gone")

    with pytest.raises(ConnectionResetError):
        await content.put(key, failing())
    assert await holders(storage, key) == set()


async def test_the_same_content_again_is_fine_and_other_content_is_a_conflict(content, key):
    first = await content.put(key, b"content")
    assert await content.put(key, b"content") == first
    with pytest.raises(ConflictError):
        await content.put(key, b"CONTENT")
    assert await content.get_bytes(key) == b"content"


async def test_a_malformed_key_is_refused_at_once(content):
    for call in (content.put("nonsense", b""), content.get_bytes("a/b"), content.stat("../x/y")):
        with pytest.raises(InvalidRequestError):
            await call


async def test_with_an_owner_down_a_stand_in_takes_the_file_and_it_is_readable(storage, content, key):
    down, stand_in = storage.owners(key)[1], storage.others(key)[0]
    down.server.kill()
    data = os.urandom(3_000_000)
    await content.put(key, data)
    assert key in await stand_in.has(key)
    assert await content.get_bytes(key) == data


async def test_an_owner_that_dies_while_it_receives_is_replaced_and_gets_all_of_it(storage, content, key):
    dying, stand_in = storage.owners(key)[0], storage.others(key)[0]
    data = os.urandom(8_000_000)
    underway, dead = asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield data[:4_000_000]
        underway.set()
        await dead.wait()
        yield data[4_000_000:]

    putting = asyncio.create_task(content.put(key, source()))
    await underway.wait()
    await eventually(lambda: list((dying.data / "tmp").iterdir()), what="the owner receives")
    dying.server.kill()
    dead.set()
    await putting
    async with stand_in.stub():
        assert key in await stand_in.has(key)
    assert await content.get_bytes(key) == data


async def test_a_frozen_owner_delays_a_write_and_does_not_stop_it(storage, content, key):
    storage.owners(key)[0].server.freeze()
    data = os.urandom(1_000_000)
    await content.put(key, data)
    assert await content.get_bytes(key) == data


async def test_with_too_few_nodes_a_write_is_unavailable_and_says_why(storage, content, key):
    for node in storage.owners(key):
        node.server.kill()
    with pytest.raises(UnavailableError, match=r"could not be stored"):
        await content.put(key, b"content")


async def test_a_write_across_a_ring_change_is_acknowledged_under_the_new_ring(storage, content, key):
    data = os.urandom(2_000_000)
    underway, changed = asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield data[:1_000_000]
        underway.set()
        await changed.wait()
        yield data[1_000_000:]

    putting = asyncio.create_task(content.put(key, source()))
    await underway.wait()
    newer = await storage.next_epoch()
    for node in storage.nodes:
        await eventually(partial(knows, node, newer), what="the node knows the new ring")
    changed.set()
    await putting
    await on_all_owners(storage, key)


async def knows(node: StorageNode, epoch: int) -> bool:
    return (await node.describe()).epoch >= epoch


async def test_many_writers_at_once_are_all_served_within_a_small_budget(storage):
    video_id, data = new_video_id(), os.urandom(3_000_000)
    async with storage.content(memory_bytes=8_000_000) as content:
        await asyncio.gather(*(content.put(f"{video_id}/f{n}", data + bytes([n])) for n in range(40)))
        assert await content.get_bytes(f"{video_id}/f17") == data + bytes([17])


# ---- reading ----


async def test_a_range_is_read_as_asked_and_cut_at_the_end(content, key):
    data = os.urandom(3_000_000)
    await content.put(key, data)
    assert await content.get_bytes(key, offset=1_234_567, length=1_000_000) == data[1_234_567:2_234_567]
    assert await content.get_bytes(key, offset=2_999_990, length=1000) == data[-10:]
    assert await content.get_bytes(key, offset=10, length=0) == b""
    assert await content.get_bytes(key, offset=3_000_000) == b""
    with pytest.raises(InvalidRequestError):
        await content.get_bytes(key, offset=3_000_001)
    with pytest.raises(TooLargeError):
        await content.get_bytes(key, limit_bytes=1_000_000)


async def test_a_file_that_does_not_exist_is_proved_not_to(content, key):
    with pytest.raises(NotFoundError):
        await content.open(key)
    with pytest.raises(NotFoundError):
        await content.stat(key)


@pytest.mark.parametrize("blow", ["kill", "freeze"])
async def test_a_reader_whose_node_goes_in_mid_stream_goes_on_from_another_copy(storage, content, blow):
    first = storage.nodes[1]
    key, data = storage.key_read_first_from(first), os.urandom(MAX_FILE_BYTES)
    await content.put(key, data)
    received = b""
    async with await content.open(key) as reader:
        async for chunk in reader:
            if not received:
                getattr(first.server, blow)()
            received += chunk
    assert received == data


async def test_a_flipped_bit_is_read_around_and_the_copy_repaired(storage, content):
    first = storage.nodes[2]
    key, data = storage.key_read_first_from(first), os.urandom(5_000_000)
    await content.put(key, data)
    await on_all_owners(storage, key)
    first.flip_bit(key, 3_500_000)
    read: list[bytes] = []

    async def replaced() -> bool:
        # Where the first node is slow, another one is asked as well: then nobody has met the damage yet.
        read.append(await content.get_bytes(key))
        return bool(first.object_path(key).read_bytes()[: len(data)] == data)

    await eventually(replaced, what="the damaged copy is replaced")
    assert all(found == data for found in read)


async def test_an_owner_that_lacks_a_file_gets_it_when_it_is_read(storage, content):
    absent = storage.nodes[0]
    key = storage.key_read_first_from(absent)
    await content.put(key, b"content")
    await on_all_owners(storage, key)
    # Had it been away, it might be given the file before it is read, when it comes back.
    await absent.drop(key, epoch=storage.topology.view.epoch)
    assert await absent.has(key) == set()
    read: list[bytes] = []

    async def repaired() -> bool:
        read.append(await content.get_bytes(key))
        return bool(await absent.has(key) == {key})

    await eventually(repaired, what="the owner has been repaired")
    assert {*read} == {b"content"}


@pytest.mark.parametrize("blow", ["kill", "freeze"])
async def test_a_file_that_only_an_absent_node_holds_is_unavailable_never_not_found(
    storage, content, key, blow
):
    other, holder = storage.owners(key)
    await content.put(key, b"content")
    await on_all_owners(storage, key)
    other.server.kill()
    other.object_path(key).unlink()
    getattr(holder.server, blow)()  # before the other one comes back, which would get its copy from there
    other.server.start()
    await other.writable()
    with pytest.raises(UnavailableError):
        await content.get_bytes(key)
    with pytest.raises(UnavailableError):
        await content.stat(key)
    await storage.heal()
    assert await content.get_bytes(key) == b"content"


async def test_without_etcd_files_are_read_and_absence_cannot_be_proved(storage, content, key):
    await content.put(key, b"content")
    for member in storage.etcd.members:
        member.kill()
    assert await content.get_bytes(key) == b"content"
    with pytest.raises(UnavailableError):
        await content.get_bytes(f"{new_video_id()}/file")


async def test_readers_notice_nothing_while_one_node_after_another_is_killed(storage, content):
    video_id = new_video_id()
    files = {f"{video_id}/f{number}": os.urandom(300_000) for number in range(30)}
    for key, data in files.items():
        await content.put(key, data)
        await on_all_owners(storage, key)
    over = asyncio.Event()
    reads = 0

    def more_reads(than: int) -> bool:
        return reads > than

    async def read() -> None:
        nonlocal reads
        while not over.is_set():
            key = random.choice(list(files))
            assert await content.get_bytes(key) == files[key]
            reads += 1

    readers = [asyncio.create_task(read()) for _ in range(4)]
    for node in storage.nodes:
        node.server.kill()
        await eventually(partial(more_reads, reads + 60), what="reads go on without the node")
        await storage.heal()
    over.set()
    await asyncio.gather(*readers)


# ---- while the ring changes ----


@asynccontextmanager
async def migrating(storage: StorageCluster) -> AsyncIterator[RingTable]:
    """Files are moving to a table in which each partition has another second owner."""
    stable = (await storage.topology.refresh()).state
    names = sorted(stable.nodes)
    cur = storage.topology.view.cur
    rows = tuple((row[0], next(name for name in names if name not in row)) for row in cur.rows)
    following = RingTable(rows)
    moving = {"epoch": stable.epoch + 1, "phase": Phase.MIGRATING, "next": following.id}
    await publish(storage.client, stable.model_copy(update=moving), following)
    await storage.topology.wait_for_epoch(stable.epoch + 1)
    yield following
    await publish(storage.client, stable.model_copy(update={"epoch": stable.epoch + 2}))
    await storage.topology.wait_for_epoch(stable.epoch + 2)


async def test_while_files_move_a_write_reaches_the_owners_of_both_tables(storage, content, key):
    async with migrating(storage) as following:
        await content.put(key, b"content")
        owners = {*storage.topology.view.owners(partition_of(key)), *following.owners(partition_of(key))}
        await on_all_owners(storage, key, owners)
