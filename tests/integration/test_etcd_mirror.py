"""A mirrored prefix on a real etcd: always what a plain listing shows, with less travelling."""

from __future__ import annotations

import random

from services.shared.etcd import EtcdClient, Mirror, delete_op, put_op


def mirror(etcd: EtcdClient, prefix: str) -> Mirror[str]:
    return Mirror(etcd, prefix, decode=bytes.decode)


async def listed(etcd: EtcdClient, prefix: str) -> list[str]:
    return [kv.value.decode() async for kv in etcd.range(prefix)]


async def test_it_shows_what_was_written_changed_and_deleted(etcd_client: EtcdClient, prefix: str):
    seen = mirror(etcd_client, prefix)
    assert await seen.read() == []
    await etcd_client.put(f"{prefix}b", b"1")
    await etcd_client.put(f"{prefix}a", b"2")
    assert await seen.read() == ["2", "1"]
    await etcd_client.put(f"{prefix}b", b"3")
    assert await seen.read() == ["2", "3"]
    await etcd_client.delete(f"{prefix}a")
    assert await seen.read() == ["3"]
    await etcd_client.delete_prefix(prefix)
    assert await seen.read() == []


async def test_keys_that_go_and_others_that_come_in_their_place_are_not_mixed_up(
    etcd_client: EtcdClient, prefix: str
):
    seen = mirror(etcd_client, prefix)
    for name in "abc":
        await etcd_client.put(f"{prefix}{name}", name.encode())
    assert await seen.read() == ["a", "b", "c"]
    await etcd_client.txn([], [delete_op(f"{prefix}b"), put_op(f"{prefix}d", b"d")])
    assert await seen.read() == ["a", "c", "d"]


async def test_it_equals_a_listing_whatever_happens(etcd_client: EtcdClient, prefix: str):
    chance = random.Random(7)
    seen = mirror(etcd_client, prefix)
    for step in range(150):
        key = f"{prefix}{chance.randrange(12):02d}"
        await (etcd_client.delete(key) if chance.random() < 0.3 else etcd_client.put(key, str(step).encode()))
        if chance.random() < 0.5:
            assert await seen.read() == await listed(etcd_client, prefix)


async def test_only_what_has_changed_travels(etcd_client: EtcdClient, prefix: str):
    for number in range(20):
        await etcd_client.put(f"{prefix}{number:02d}", b"old")
    before = await etcd_client.range_snapshot(prefix)
    await etcd_client.put(f"{prefix}07", b"new")
    changes = await etcd_client.changes(prefix, since=before.revision + 1)
    assert [(kv.key, kv.value) for kv in changes.kvs] == [(f"{prefix}07", b"new")]
    assert changes.total == 20
    assert not changes.too_many


async def test_more_changes_than_fit_are_read_as_a_whole(etcd_client: EtcdClient, prefix: str):
    seen = mirror(etcd_client, prefix)
    await seen.read()
    puts = [put_op(f"{prefix}{number:04d}", b"x") for number in range(600)]
    for start in range(0, len(puts), 100):
        await etcd_client.txn([], puts[start : start + 100])
    assert (await etcd_client.changes(prefix, since=1)).too_many
    assert len(await seen.read()) == 600
