"""Damage that anybody meets is mended from sound copies; where there are none, that is said."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
import pytest_asyncio

from services.shared.catalog.keys import purged, tombstone
from services.shared.content import ContentStore
from services.shared.errors import TritonTubeError
from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from services.shared.video import new_video_id
from services.storage.disk.objectfile import BLOCK_BYTES
from tests.harness.storage import StorageCluster, StorageNode
from tests.harness.waiting import eventually

DEADLINE_S = 60.0
DATA = os.urandom(2 * BLOCK_BYTES + 12345)


@pytest_asyncio.fixture
async def key(storage: StorageCluster, content: ContentStore) -> AsyncIterator[str]:
    """A file that both its owners hold."""
    key = f"{new_video_id()}/file"
    await content.put(key, DATA)
    await held_by(storage.owners(key), key)
    yield key


async def held_by(nodes: Sequence[StorageNode], key: str) -> None:
    async def all_hold() -> bool:
        return all([await node.has(key) for node in nodes])

    await eventually(all_hold, deadline_s=DEADLINE_S, what=f"{key} on {len(nodes)} nodes")


async def read_from(node: StorageNode, key: str, *, offset: int = 0) -> bytes:
    """The file as this node alone gives it out."""
    async with node.stub() as stub:
        request = storage_pb2.GetRequest(key=key, offset_bytes=offset)
        return b"".join([message.chunk async for message in stub.Get(request, timeout=30.0)])


async def mend(node: StorageNode, *keys: str) -> storage_pb2.MendResponse:
    async with node.stub() as stub:
        return await stub.Mend(storage_pb2.MendRequest(keys=keys), timeout=DEADLINE_S)


async def verify(node: StorageNode, *keys: str, epoch: int = 0) -> storage_pb2.VerifyResponse:
    async with node.stub() as stub:
        return await stub.Verify(storage_pb2.VerifyRequest(keys=keys, epoch=epoch), timeout=DEADLINE_S)


async def whole_again(node: StorageNode, key: str) -> None:
    async def sound() -> bool:
        return len((await verify(node, key)).sound) == 1

    await eventually(sound, deadline_s=DEADLINE_S, what=f"{node.data.name} has a sound copy")
    assert await read_from(node, key) == DATA


def quarantined(node: StorageNode, key: str) -> int:
    return len(list(node.data.glob(f"quarantine/{node.object_path(key).name}.*")))


# ---- damage that is met by chance ----


@pytest.mark.parametrize("position", [5, BLOCK_BYTES + 5, -1], ids=["first block", "second block", "trailer"])
async def test_a_copy_that_a_reader_finds_damaged_is_replaced(storage, key, position):
    owner = storage.owners(key)[0]
    owner.flip_bit(key, position)
    with pytest.raises(grpc.aio.AioRpcError):
        await read_from(owner, key)
    await whole_again(owner, key)
    assert quarantined(owner, key) == 1


async def test_an_object_file_that_is_cut_short_is_replaced(storage, key):
    owner = storage.owners(key)[0]
    with owner.object_path(key).open("r+b") as file:
        file.truncate(len(DATA) + 10)
    with pytest.raises(grpc.aio.AioRpcError):
        await read_from(owner, key)
    await whole_again(owner, key)


async def test_an_object_file_that_is_gone_from_the_disk_is_fetched_anew(storage, key):
    owner = storage.owners(key)[0]
    owner.object_path(key).unlink()
    with pytest.raises(grpc.aio.AioRpcError):
        await read_from(owner, key)
    await whole_again(owner, key)
    assert quarantined(owner, key) == 0


async def test_a_copy_that_rots_while_it_is_read_is_read_around_and_replaced(storage, content):
    key = f"{new_video_id()}/file"
    data = os.urandom(24 << 20)
    await content.put(key, data)
    owners = storage.owners(key)
    await held_by(owners, key)
    read = b""
    async with await content.open(key) as reader:
        async for chunk in reader:
            if not read:
                owners[0].flip_bit(key, len(data) - 1)
            read += chunk
    assert read == data

    async def sound() -> bool:
        return all([len((await verify(owner, key)).sound) for owner in owners])

    await eventually(sound, deadline_s=DEADLINE_S, what="both copies are sound")
    assert quarantined(owners[0], key) == 1


async def test_without_its_ring_a_node_waits_and_mends_when_it_is_back(storage, key):
    owner, other = storage.owners(key)
    other.server.freeze()
    owner.flip_bit(key, 5)
    with pytest.raises(grpc.aio.AioRpcError):
        await read_from(owner, key)
    other.server.thaw()
    await whole_again(owner, key)


async def test_when_every_copy_is_damaged_no_bad_byte_is_served_and_mending_says_so(storage, content, key):
    owners = storage.owners(key)
    for owner in owners:
        owner.flip_bit(key, 5)
    for _ in range(2):
        with pytest.raises(TritonTubeError):
            await content.get_bytes(key)
    answer = await mend(owners[0], key)
    assert answer.mended == 0
    assert "No node has a sound copy" in answer.problems[0]
    for owner in owners:
        assert await owner.has(key) == set()
        assert quarantined(owner, key) == 1


# ---- verifying ----


async def test_verification_tells_sound_damaged_and_absent_copies_apart(storage, key):
    owner, other = storage.owners(key)
    owner.flip_bit(key, BLOCK_BYTES + 1)
    epoch = storage.topology.view.epoch
    found = await verify(owner, key, f"{new_video_id()}/none", epoch=epoch)
    assert (list(found.sound), list(found.damaged), found.epoch) == ([], [key], epoch)
    found = await verify(other, key, epoch=epoch)
    assert ([file.key for file in found.sound], list(found.damaged)) == ([key], [])
    await whole_again(owner, key)


async def test_verification_is_fenced_by_the_epoch(storage, key):
    owner = storage.owners(key)[0]
    newer = await storage.next_epoch()
    assert (await verify(owner, key, epoch=newer)).epoch == newer
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await verify(owner, key, epoch=newer - 1)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_more_keys_than_can_be_asked_for_at_once_are_refused(storage, key):
    for call in (verify, mend):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(storage.nodes[0], *[key] * 1001)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# ---- requests ----


async def test_an_owner_that_lacks_a_file_gets_it_when_asked_to(storage, key):
    owner = storage.owners(key)[0]
    await owner.drop(key, epoch=storage.topology.view.epoch)
    answer = await mend(owner, key)
    assert (answer.mended, list(answer.problems)) == (1, [])
    assert await read_from(owner, key) == DATA


async def test_a_holder_sees_to_it_that_other_owners_have_a_file(storage, key):
    owner, other = storage.owners(key)
    await other.drop(key, epoch=storage.topology.view.epoch)
    answer = await mend(owner, key)
    assert (answer.mended, list(answer.problems)) == (1, [])
    assert await read_from(other, key) == DATA
    assert (await mend(owner, key)).mended == 0


async def test_a_node_does_not_fetch_what_it_does_not_own(storage, key):
    (stranger,) = storage.others(key)
    answer = await mend(stranger, key)
    assert (answer.mended, list(answer.problems)) == (0, [])
    assert await stranger.has(key) == set()


async def test_a_file_of_a_deleted_video_is_not_brought_back(storage, key):
    owner, other = storage.owners(key)
    video_id = key.partition("/")[0]
    other.server.freeze()
    await storage.client.put(tombstone(video_id), b"0")

    async def has_purged() -> bool:
        return await storage.client.get(purged(video_id, owner.id)) is not None

    await eventually(has_purged, deadline_s=DEADLINE_S, what="the owner has purged")
    other.server.thaw()
    answer = await mend(owner, key)
    assert answer.mended == 0
    assert "deleted" in answer.problems[0]
    assert await owner.has(key) == set()
