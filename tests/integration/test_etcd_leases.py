"""Leases on real members: kept, revoked, and known to be lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import pytest
import pytest_asyncio

from services.shared.errors import UnavailableError
from services.shared.etcd import EtcdClient
from tests.harness.etcd import EtcdCluster, etcd_members
from tests.harness.waiting import eventually, took_no_longer


@pytest_asyncio.fixture
async def lone_member(tmp_path: Path) -> AsyncIterator[EtcdCluster]:
    """A member of this test's own, to kill."""
    async with etcd_members(tmp_path, count=1) as cluster:
        yield cluster


async def test_a_lease_outlives_its_time_to_live_while_it_is_held(
    etcd_client: EtcdClient, etcd: EtcdCluster, prefix: str
):
    abandoned = await etcd.call("/v3/lease/grant", {"TTL": 3})
    async with etcd_client.lease(3) as lease:
        await etcd_client.put(prefix + "held", b"", lease_id=lease.id)
        await etcd_client.put(prefix + "abandoned", b"", lease_id=int(abandoned["ID"]))

        async def abandoned_is_gone() -> bool:
            return await etcd_client.get(prefix + "abandoned") is None

        await eventually(abandoned_is_gone, what="the lease that nobody renews expires")
        held = await etcd_client.get(prefix + "held")
        assert held is not None
        assert held.lease_id == lease.id
        assert not lease.lost.is_set()


async def test_keys_go_at_once_when_the_lease_is_given_up(etcd_client: EtcdClient, prefix: str):
    async with etcd_client.lease(60) as lease:
        await etcd_client.put(prefix, b"", lease_id=lease.id)
    assert await etcd_client.get(prefix) is None
    assert lease.lost.is_set()


async def test_the_owners_own_error_leaves_a_lease_unchanged_and_revokes_it(
    etcd_client: EtcdClient, prefix: str
):
    async def fail() -> None:
        async with etcd_client.lease(60) as lease:
            await etcd_client.put(prefix, b"", lease_id=lease.id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await etcd_client.get(prefix) is None


async def test_the_loss_of_a_lease_is_noticed_on_the_servers_word(etcd_client: EtcdClient, etcd: EtcdCluster):
    async with etcd_client.lease(6) as lease:
        await etcd.call("/v3/lease/revoke", {"ID": lease.id})
        began = monotonic()
        await eventually(lease.lost.is_set, what="it is noticed")
        # At the next renewal, not at the end of the lease's life.
        took_no_longer(monotonic() - began, lease.ttl_s, what="the loss is noticed")


async def test_the_loss_of_a_lease_is_noticed_by_the_clock_when_nobody_answers(lone_member: EtcdCluster):
    async with EtcdClient.connect(lone_member.endpoints) as client, client.lease(3) as lease:
        began = monotonic()
        lone_member.members[0].freeze()
        await eventually(lease.lost.is_set, what="it is noticed")
        took_no_longer(monotonic() - began, lease.ttl_s + 1.0, what="the loss is noticed")
        lone_member.members[0].thaw()


async def test_leaving_a_lease_while_etcd_is_away_is_quick_and_quiet(lone_member: EtcdCluster):
    async with EtcdClient.connect(lone_member.endpoints) as client:
        async with client.lease(60):
            lone_member.members[0].kill()
            began = monotonic()
        took_no_longer(monotonic() - began, 10, what="leaving it")


async def test_no_lease_is_granted_while_etcd_is_away(lone_member: EtcdCluster):
    lone_member.members[0].kill()
    async with EtcdClient.connect(lone_member.endpoints, deadline_s=2) as client:
        with pytest.raises(UnavailableError):
            async with client.lease(10):
                raise AssertionError("never held")


async def test_a_lease_is_kept_while_each_member_is_killed_in_turn(fragile_cluster: EtcdCluster, prefix: str):
    async with EtcdClient.connect(fragile_cluster.endpoints) as client, client.lease(10) as lease:
        revision = await client.put(prefix, b"", lease_id=lease.id)
        for member in fragile_cluster.members:
            member.kill()
            await fragile_cluster.leader()
            member.start()
            await fragile_cluster.healthy()
        assert not lease.lost.is_set()
        kv = await client.get(prefix)
        assert kv is not None
        assert kv.mod_revision == revision
