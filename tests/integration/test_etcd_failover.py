"""The client on three real members that are killed, frozen and cut down to a minority."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic

import pytest

from services.shared.errors import AmbiguousError, UnavailableError
from services.shared.etcd import EndpointStatus, EtcdClient, absent, put_op, unchanged
from tests.harness.etcd import EtcdCluster, EtcdMember
from tests.harness.waiting import eventually, took_no_longer

WRITERS = 16


@dataclass(kw_only=True)
class Load:
    """Puts of unique keys by many writers at once, until told to stop."""

    client: EtcdClient
    prefix: str
    written: list[str] = field(default_factory=list)
    failed: list[Exception] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, writer: int) -> None:
        number = 0
        while not self.stopping.is_set():
            key = f"{self.prefix}{writer}/{number}"
            try:
                await self.client.put(key, key.encode())
            except Exception as error:  # noqa: BLE001 - counting failures is the test
                self.failed.append(error)
            else:
                self.written.append(key)
            number += 1

    async def goes_on(self, puts: int = 200) -> None:
        """Wait until that many more puts were answered."""
        goal = len(self.written) + puts
        await eventually(lambda: len(self.written) >= goal, deadline_s=60, what=f"{puts} more puts")


@asynccontextmanager
async def load_on(client: EtcdClient, prefix: str) -> AsyncIterator[Load]:
    load = Load(client=client, prefix=prefix)
    async with asyncio.TaskGroup() as writers:
        for writer in range(WRITERS):
            writers.create_task(load.write(writer))
        try:
            yield load
        finally:
            load.stopping.set()


@pytest.fixture(params=[EtcdMember.kill, EtcdMember.freeze], ids=["killed", "frozen"])
def harm(request: pytest.FixtureRequest) -> Callable[[EtcdMember], None]:
    harm: Callable[[EtcdMember], None] = request.param
    return harm


async def test_no_put_fails_and_none_is_lost_when_the_leader_is_harmed_under_load(
    fragile_cluster: EtcdCluster, prefix: str, harm: Callable[[EtcdMember], None]
):
    async with EtcdClient.connect(fragile_cluster.endpoints, deadline_s=40) as client:
        async with load_on(client, prefix) as load:
            await load.goes_on()
            leader = await fragile_cluster.leader()
            harm(leader)
            await load.goes_on()
            assert await fragile_cluster.leader() is not leader
            leader.revive()
            await fragile_cluster.healthy()
            await load.goes_on()

        stored = {kv.key: kv.value async for kv in client.range(prefix)}

    assert load.failed == []
    assert len(load.written) == len(set(load.written))
    assert stored == {key: key.encode() for key in load.written}


async def test_puts_go_on_while_each_member_is_killed_and_restarted_in_turn(
    fragile_cluster: EtcdCluster, prefix: str
):
    async with EtcdClient.connect(fragile_cluster.endpoints, deadline_s=40) as client:
        async with load_on(client, prefix) as load:
            for member in fragile_cluster.members:
                member.kill()
                await load.goes_on()
                member.start()
                await fragile_cluster.healthy()

        stored = [kv.key async for kv in client.range(prefix)]

    assert load.failed == []
    assert sorted(stored) == sorted(load.written)


async def test_without_a_majority_writes_fail_in_time_and_old_reads_work_until_it_is_back(
    fragile_cluster: EtcdCluster, prefix: str
):
    deadline_s = 5.0
    async with EtcdClient.connect(fragile_cluster.endpoints, deadline_s=deadline_s) as client:
        await client.put(prefix, b"before")
        # The last member may not have the put yet; the one that is left must.
        survivor = await fragile_cluster.leader()
        for member in fragile_cluster.members:
            if member is not survivor:
                member.kill()

        began = monotonic()
        with pytest.raises(UnavailableError):
            await client.put(prefix, b"during")
        took_no_longer(monotonic() - began, 2 * deadline_s, what="the failure")
        with pytest.raises(UnavailableError):
            await client.get(prefix)

        kv = await client.get(prefix, serializable=True)
        assert kv is not None
        assert kv.value == b"before"
        assert survivor.running

        await fragile_cluster.heal()
        assert await client.put(prefix, b"after") > 0


async def test_a_frozen_majority_is_noticed_within_the_deadline_too(
    fragile_cluster: EtcdCluster, prefix: str
):
    async with EtcdClient.connect(fragile_cluster.endpoints, deadline_s=4) as client:
        await client.put(prefix, b"before")
        for member in await fragile_cluster.followers():
            member.freeze()

        with pytest.raises(UnavailableError):
            await client.put(prefix, b"during")

        await fragile_cluster.heal()
        assert await client.put(prefix, b"after") > 0


async def test_a_transaction_that_was_cut_off_is_reported_as_ambiguous_and_not_repeated(
    fragile_cluster: EtcdCluster, prefix: str
):
    leader = await fragile_cluster.leader()
    async with EtcdClient.connect([leader.endpoint]) as client:
        await client.get(prefix)
        leader.freeze()
        with pytest.raises(AmbiguousError):
            await client.txn([absent(prefix)], [put_op(prefix, b"once")])
        leader.thaw()
        await fragile_cluster.healthy()
        kv = await client.get(prefix)
        assert kv is None or kv.version == 1


async def test_a_transaction_goes_to_another_member_when_the_first_is_down(
    fragile_cluster: EtcdCluster, prefix: str
):
    for down in await fragile_cluster.followers():
        down.kill()
        async with EtcdClient.connect(fragile_cluster.endpoints) as client:
            for n in range(5):
                assert (
                    await client.txn(
                        [absent(f"{prefix}{down.name}{n}")], [put_op(f"{prefix}{down.name}{n}", b"")]
                    )
                ).succeeded
        await fragile_cluster.heal()


async def test_a_counter_kept_by_transactions_counts_right_through_the_death_of_the_leader(
    fragile_cluster: EtcdCluster, prefix: str
):
    """After a cut-off the writer looks whether its own mark is there: so every count happens exactly once."""
    marks = [f"{prefix}mark/{n}" for n in range(60)]

    async def count(client: EtcdClient, mark: str) -> None:
        while await client.get(mark) is None:
            kv = await client.get(prefix + "count")
            value, condition = (int(kv.value), unchanged(kv)) if kv else (0, absent(prefix + "count"))
            with suppress(AmbiguousError):
                await client.txn(
                    [condition, absent(mark)],
                    [put_op(prefix + "count", b"%d" % (value + 1)), put_op(mark, b"")],
                )

    async with EtcdClient.connect(fragile_cluster.endpoints, deadline_s=40) as client:
        for n, mark in enumerate(marks):
            if n == len(marks) // 2:
                (await fragile_cluster.leader()).kill()
            await count(client, mark)
        kv = await client.get(prefix + "count")

    assert kv is not None
    assert int(kv.value) == len(marks)


async def test_status_names_the_member_that_is_away_and_tells_about_the_others(fragile_cluster: EtcdCluster):
    down, *_ = await fragile_cluster.followers()
    down.kill()
    async with EtcdClient.connect(fragile_cluster.endpoints) as client:

        async def led() -> tuple[EndpointStatus, ...] | None:
            found = await client.status()
            # While they elect another leader, they know of none.
            return found if all(status.leader_id for status in found if not status.problem) else None

        statuses = {status.endpoint: status for status in await eventually(led, what="there is a leader")}
        members = await client.members()

    assert sorted(statuses) == sorted(fragile_cluster.endpoints)
    assert "cannot connect" in (statuses.pop(down.endpoint).problem or "")
    assert {status.leader_id for status in statuses.values()} < {s.member_id for s in statuses.values()}
    for status in statuses.values():
        assert status.problem is None
        assert status.version.startswith("3.")
        assert 0 < status.db_used_bytes <= status.db_size_bytes
    assert {member.name for member in members} == {member.name for member in fragile_cluster.members}
    assert all(not member.is_learner and len(member.client_urls) == 1 for member in members)
