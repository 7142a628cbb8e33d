"""Reads, writes and transactions on a real etcd member."""

from __future__ import annotations

import asyncio

import pytest

from services.shared.errors import (
    InvalidRequestError,
    NotFoundError,
    TooLargeError,
)
from services.shared.etcd import (
    EtcdClient,
    absent,
    delete_op,
    delete_prefix_op,
    exists,
    get_op,
    mod_revision_is,
    put_op,
    unchanged,
    value_is,
)


async def test_a_key_can_be_written_read_and_deleted(etcd_client: EtcdClient, prefix: str):
    key = prefix + "name"
    assert await etcd_client.get(key) is None

    first = await etcd_client.put(key, b"one")
    second = await etcd_client.put(key, b"two")
    kv = await etcd_client.get(key)

    assert kv is not None
    assert (kv.key, kv.value, kv.version, kv.lease_id) == (key, b"two", 2, 0)
    assert (kv.create_revision, kv.mod_revision) == (first, second)
    assert await etcd_client.delete(key) is True
    assert await etcd_client.delete(key) is False
    assert await etcd_client.get(key) is None


async def test_keys_and_values_of_any_content_come_back_unchanged(etcd_client: EtcdClient, prefix: str):
    keys = [prefix + odd for odd in ("ß/ü", "z\xff", "🎬", "not utf-8 \udcff\udc80", "new\nline")]
    for key in keys:
        await etcd_client.put(key, bytes(range(256)))

    found = [kv async for kv in etcd_client.range(prefix)]

    assert sorted(kv.key for kv in found) == sorted(keys)
    assert all(kv.value == bytes(range(256)) for kv in found)


async def test_a_prefix_that_ends_in_the_highest_byte_covers_just_its_own_keys(
    etcd_client: EtcdClient, prefix: str
):
    inside = [prefix + "z\udcff", prefix + "z\udcffa", prefix + "z\udcff\udcff"]
    outside = [prefix + "z", prefix + "za", prefix + "{", prefix + "{a"]
    for key in inside + outside:
        await etcd_client.put(key, b"")

    assert [kv.key async for kv in etcd_client.range(prefix + "z\udcff")] == inside
    assert await etcd_client.delete_prefix(prefix + "z\udcff") == len(inside)
    assert [kv.key async for kv in etcd_client.range(prefix)] == outside


async def test_a_paged_listing_shows_one_revision_however_much_changes_meanwhile(
    etcd_client: EtcdClient, prefix: str
):
    keys = [f"{prefix}{n:03}" for n in range(25)]
    for key in keys:
        await etcd_client.put(key, b"old")

    seen: list[tuple[str, bytes]] = []
    async for kv in etcd_client.range(prefix, page_size=10):
        if not seen:
            await etcd_client.put(keys[-1], b"new")
            await etcd_client.delete(keys[-2])
            await etcd_client.put(prefix + "zzz", b"late")
        seen.append((kv.key, kv.value))

    assert seen == [(key, b"old") for key in keys]


async def test_a_listing_can_go_on_behind_a_key_and_never_leaves_its_prefix(
    etcd_client: EtcdClient, prefix: str
):
    for name in ("a", "b", "c"):
        await etcd_client.put(prefix + name, b"")

    async def names(start_after: str) -> list[str]:
        listing = etcd_client.range(prefix, start_after=start_after, page_size=1)
        return [kv.key.removeprefix(prefix) async for kv in listing]

    assert await names(prefix + "a") == ["b", "c"]
    assert await names(prefix + "bb") == ["c"]
    assert await names(prefix + "c") == []
    assert await names("a key before the prefix") == ["a", "b", "c"]
    assert await names("zzz, a key behind the prefix") == []


async def test_a_snapshot_holds_every_key_and_the_revision_to_watch_from(
    etcd_client: EtcdClient, prefix: str
):
    for n in range(3):
        revision = await etcd_client.put(f"{prefix}{n}", b"%d" % n)

    kvs, at = await etcd_client.range_snapshot(prefix)

    assert [kv.value for kv in kvs] == [b"0", b"1", b"2"]
    assert at >= revision


async def test_a_snapshot_of_nothing_is_empty(etcd_client: EtcdClient, prefix: str):
    snapshot = await etcd_client.range_snapshot(prefix)
    assert snapshot.kvs == ()
    assert snapshot.revision > 0


async def test_the_whole_store_is_never_deleted_by_an_empty_prefix(etcd_client: EtcdClient):
    with pytest.raises(InvalidRequestError, match="every key"):
        await etcd_client.delete_prefix("")


async def test_a_put_on_a_lease_that_does_not_exist_is_refused(etcd_client: EtcdClient, prefix: str):
    with pytest.raises(NotFoundError, match="lease not found"):
        await etcd_client.put(prefix, b"", lease_id=12345)


async def test_a_value_over_the_limit_of_etcd_is_refused(etcd_client: EtcdClient, prefix: str):
    with pytest.raises(TooLargeError):
        await etcd_client.put(prefix, bytes(2 << 20))


async def test_an_empty_key_is_refused(etcd_client: EtcdClient):
    with pytest.raises(InvalidRequestError, match="key is not provided"):
        await etcd_client.put("", b"")


async def test_a_transaction_does_one_branch_or_the_other(etcd_client: EtcdClient, prefix: str):
    key = prefix + "video"

    created = await etcd_client.txn([absent(key)], [put_op(key, b"1")], [get_op(key)])
    refused = await etcd_client.txn([absent(key)], [put_op(key, b"2")], [get_op(key)])

    assert created.succeeded
    assert not refused.succeeded
    kv = refused.kv(0)
    assert kv is not None
    assert (kv.value, kv.mod_revision) == (b"1", created.revision)


async def test_a_swap_succeeds_only_on_the_record_that_was_read(etcd_client: EtcdClient, prefix: str):
    await etcd_client.put(prefix, b"1")
    kv = await etcd_client.get(prefix)
    assert kv is not None

    assert (await etcd_client.txn([unchanged(kv)], [put_op(prefix, b"2")])).succeeded
    assert not (await etcd_client.txn([unchanged(kv)], [put_op(prefix, b"3")])).succeeded
    now = await etcd_client.get(prefix)
    assert now is not None
    assert now.value == b"2"


async def test_of_many_concurrent_swaps_of_one_record_one_wins(etcd_client: EtcdClient, prefix: str):
    await etcd_client.put(prefix, b"")
    kv = await etcd_client.get(prefix)
    assert kv is not None

    results = await asyncio.gather(
        *(etcd_client.txn([unchanged(kv)], [put_op(prefix, b"%d" % n)]) for n in range(20))
    )

    assert sum(result.succeeded for result in results) == 1


@pytest.mark.parametrize("present", [True, False])
async def test_every_comparison_tells_an_existing_key_from_a_missing_one(
    etcd_client: EtcdClient, prefix: str, present
):
    revision = await etcd_client.put(prefix, b"value") if present else 0

    async def holds(compare) -> bool:
        return (await etcd_client.txn([compare], [])).succeeded

    assert await holds(exists(prefix)) is present
    assert await holds(absent(prefix)) is not present
    assert await holds(mod_revision_is(prefix, revision))
    assert not await holds(mod_revision_is(prefix, revision + 1))
    assert await holds(value_is(prefix, b"value")) is present
    assert not await holds(value_is(prefix, b""))


async def test_the_operations_of_a_transaction_answer_in_order(etcd_client: EtcdClient, prefix: str):
    for name in ("a/1", "a/2", "b"):
        await etcd_client.put(prefix + name, name.encode())

    result = await etcd_client.txn(
        [exists(prefix + "b")],
        [
            delete_prefix_op(prefix + "a/"),
            get_op(prefix + "b"),
            get_op(prefix + "c"),
            delete_op(prefix + "c"),
            put_op(prefix + "d", b"d"),
        ],
    )

    assert result.deleted(0) == 2
    got = result.kv(1)
    assert got is not None
    assert got.value == b"b"
    assert result.kv(2) is None
    assert result.deleted(3) == 0
    assert result.responses[4] is None
    made = await etcd_client.get(prefix + "d")
    assert made is not None
    assert made.mod_revision == result.revision


async def test_asking_a_response_for_what_it_is_not_is_an_error(etcd_client: EtcdClient, prefix: str):
    result = await etcd_client.txn([], [delete_op(prefix), get_op(prefix)])
    with pytest.raises(TypeError, match="delete"):
        result.kv(0)
    with pytest.raises(TypeError, match="not a delete"):
        result.deleted(1)


async def test_a_transaction_that_writes_a_key_twice_is_refused(etcd_client: EtcdClient, prefix: str):
    with pytest.raises(InvalidRequestError, match="duplicate key"):
        await etcd_client.txn([], [put_op(prefix, b"1"), put_op(prefix, b"2")])


async def test_a_transaction_over_the_limit_of_operations_is_refused(etcd_client: EtcdClient, prefix: str):
    with pytest.raises(InvalidRequestError, match="too many operations"):
        await etcd_client.txn([], [put_op(f"{prefix}{n}", b"") for n in range(129)])
