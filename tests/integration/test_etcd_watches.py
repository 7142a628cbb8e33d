"""Watching real members: nothing lost, nothing twice, nothing out of order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from services.shared.errors import InvalidRequestError
from services.shared.etcd import (
    CompactedError,
    EtcdClient,
    EventKind,
    Snapshot,
    WatchEvent,
    delete_prefix_op,
    put_op,
)
from tests.harness.etcd import EtcdCluster, EtcdMember
from tests.harness.waiting import eventually


@dataclass(kw_only=True)
class Watched:
    """What a watch has told so far."""

    events: list[WatchEvent] = field(default_factory=list)

    @property
    def values(self) -> list[bytes]:
        return [event.kv.value for event in self.events]

    async def have(self, count: int) -> None:
        await eventually(
            lambda: len(self.events) >= count, deadline_s=60, what=f"{count} events (have {len(self.events)})"
        )


@asynccontextmanager
async def watching(client: EtcdClient, prefix: str, start_revision: int) -> AsyncIterator[Watched]:
    watched = Watched()

    async def collect() -> None:
        async with aclosing(client.watch(prefix, start_revision=start_revision)) as events:
            async for event in events:
                watched.events.append(event)

    task = asyncio.create_task(collect())
    try:
        yield watched
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@dataclass(kw_only=True)
class Numbers:
    """Writes 0, 1, 2 … below a prefix, one after the other, each to a key of its own."""

    client: EtcdClient
    prefix: str
    written: int = 0

    async def write(self, count: int) -> None:
        for _ in range(count):
            await self.client.put(f"{self.prefix}{self.written}", b"%d" % self.written)
            self.written += 1

    @property
    def values(self) -> list[bytes]:
        return [b"%d" % number for number in range(self.written)]


def without_repeats(values: list[bytes]) -> list[bytes]:
    """A put that was cut off and repeated may show twice, rightly: a frozen member does its part late."""
    return list(dict.fromkeys(values))


async def test_events_come_in_order_from_the_wanted_revision_on(etcd_client: EtcdClient, prefix: str):
    await etcd_client.put(prefix + "a", b"before")
    start = await etcd_client.put(prefix + "a", b"1")
    await etcd_client.put(prefix + "b", b"2")
    await etcd_client.put("elsewhere/" + prefix, b"not ours")
    await etcd_client.delete(prefix + "a")

    async with watching(etcd_client, prefix, start) as watched:
        await watched.have(3)
        await etcd_client.put(prefix + "c", b"3")
        await watched.have(4)

    shown = [(event.kind, event.kv.key.removeprefix(prefix), event.kv.value) for event in watched.events]
    assert shown == [
        (EventKind.PUT, "a", b"1"),
        (EventKind.PUT, "b", b"2"),
        (EventKind.DELETE, "a", b""),
        (EventKind.PUT, "c", b"3"),
    ]
    assert watched.events[0].kv.mod_revision == start
    assert all(event.prev is None for event in watched.events)


async def test_the_record_before_a_change_is_given_when_asked_for(etcd_client: EtcdClient, prefix: str):
    start = await etcd_client.put(prefix, b"1")
    await etcd_client.delete(prefix)

    async with aclosing(etcd_client.watch(prefix, start_revision=start, with_prev=True)) as events:
        created, deleted = await anext(events), await anext(events)

    assert created.prev is None
    assert deleted.prev is not None
    assert deleted.prev.value == b"1"


async def test_a_watch_cannot_start_at_no_revision(etcd_client: EtcdClient, prefix: str):
    with pytest.raises(InvalidRequestError):
        await anext(etcd_client.watch(prefix, start_revision=0))


async def test_a_slow_consumer_loses_nothing_of_more_than_any_queue_holds(
    etcd_client: EtcdClient, prefix: str
):
    batch = 100
    async with aclosing(
        etcd_client.watch(prefix, start_revision=await etcd_client.put(prefix, b""))
    ) as events:
        await anext(events)  # the stream is open, and nobody reads it for a while
        for first in range(0, 3000, batch):
            await etcd_client.txn([], [put_op(f"{prefix}{n:05}", b"") for n in range(first, first + batch)])

        keys = [(await anext(events)).kv.key for _ in range(3000)]

    assert keys == [f"{prefix}{n:05}" for n in range(3000)]


async def test_a_backlog_too_large_for_one_response_comes_whole(etcd_client: EtcdClient, prefix: str):
    """etcd sends it in fragments, cut also between the changes of one transaction."""
    value = bytes(100_000)
    start = await etcd_client.put(prefix, b"")
    for t in range(10):
        await etcd_client.txn([], [put_op(f"{prefix}{t}/{n:02}", value) for n in range(12)])
    await etcd_client.txn([], [delete_prefix_op(prefix)])

    async with watching(etcd_client, prefix, start) as watched:
        await watched.have(1 + 120 + 121)

    assert [event.kv.key for event in watched.events[1:121]] == [
        f"{prefix}{t}/{n:02}" for t in range(10) for n in range(12)
    ]
    assert all(event.kind is EventKind.DELETE for event in watched.events[121:])


@pytest.mark.parametrize("harm", [EtcdMember.kill, EtcdMember.freeze], ids=["killed", "frozen"])
async def test_no_event_is_lost_while_each_member_is_harmed_in_turn(
    fragile_cluster: EtcdCluster, prefix: str, harm: Callable[[EtcdMember], None]
):
    """One of the three serves the watch, one leads: both are hit."""
    endpoints = fragile_cluster.endpoints
    async with (
        EtcdClient.connect(endpoints, deadline_s=40) as writer,
        EtcdClient.connect(endpoints) as watcher,
        watching(watcher, prefix, await fragile_cluster.revision() + 1) as watched,
    ):
        numbers = Numbers(client=writer, prefix=prefix)
        for member in fragile_cluster.members:
            await numbers.write(50)
            harm(member)
            await numbers.write(50)
            await watched.have(numbers.written)
            member.revive()
            await fragile_cluster.healthy()
        await numbers.write(50)
        await watched.have(numbers.written)
        await eventually(lambda: watched.values[-1:] == numbers.values[-1:], what="the last event")

    assert without_repeats(watched.values) == numbers.values
    revisions = [event.kv.mod_revision for event in watched.events]
    assert revisions == sorted(set(revisions))


async def test_a_watch_waits_out_the_loss_of_the_whole_cluster(fragile_cluster: EtcdCluster, prefix: str):
    async with (
        EtcdClient.connect(fragile_cluster.endpoints, deadline_s=40) as client,
        watching(client, prefix, await fragile_cluster.revision() + 1) as watched,
    ):
        await client.put(prefix, b"before")
        await watched.have(1)
        for member in fragile_cluster.members:
            member.kill()
        for member in fragile_cluster.members:
            member.start()
        await client.put(prefix, b"after")
        await watched.have(2)

    assert without_repeats(watched.values) == [b"before", b"after"]


async def test_watching_from_before_a_compaction_says_where_history_begins(
    etcd_client: EtcdClient, etcd: EtcdCluster, prefix: str
):
    start = await etcd_client.put(prefix, b"1")
    compacted = await etcd_client.put(prefix, b"2")
    await etcd.compact(compacted)

    with pytest.raises(CompactedError) as caught:
        await anext(etcd_client.watch(prefix, start_revision=start))
    assert caught.value.compact_revision == compacted


async def test_following_shows_what_is_there_and_then_what_changes(etcd_client: EtcdClient, prefix: str):
    await etcd_client.put(prefix + "a", b"1")

    async with aclosing(etcd_client.follow(prefix)) as news:
        snapshot = await anext(news)
        await etcd_client.put(prefix + "b", b"2")
        event = await anext(news)

    assert isinstance(snapshot, Snapshot)
    assert [kv.value for kv in snapshot.kvs] == [b"1"]
    assert isinstance(event, WatchEvent)
    assert event.kv.value == b"2"


async def test_following_lists_again_when_it_fell_behind_a_compaction(
    fragile_cluster: EtcdCluster, prefix: str
):
    lagging, *others = fragile_cluster.members
    async with (
        EtcdClient.connect([member.endpoint for member in others]) as writer,
        EtcdClient.connect([lagging.endpoint]) as follower,
        aclosing(follower.follow(prefix)) as news,
    ):
        await writer.put(prefix + "gone", b"1")
        first = await anext(news)
        assert isinstance(first, Snapshot)
        await writer.put(prefix + "seen", b"2")
        event = await anext(news)
        assert isinstance(event, WatchEvent)

        lagging.kill()
        await writer.delete(prefix + "gone")
        last = await writer.put(prefix + "missed", b"3")
        await fragile_cluster.call(
            "/v3/kv/compaction", {"revision": last, "physical": True}, member=others[0]
        )
        lagging.start()

        second = await anext(news)
        await writer.put(prefix + "later", b"4")
        event = await anext(news)

    assert isinstance(second, Snapshot)
    assert [kv.key.removeprefix(prefix) for kv in second.kvs] == ["missed", "seen"]
    assert isinstance(event, WatchEvent)
    assert event.kv.key == prefix + "later"
