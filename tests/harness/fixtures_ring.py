"""etcd for tests of the ring: its keys are the same for everyone, so this member is for them alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.shared.etcd import EtcdClient
from tests.harness.etcd import PATIENT_S, EtcdCluster, etcd_members


@pytest_asyncio.fixture(scope="session")
async def ring_member(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EtcdCluster]:
    """One etcd member for rings; use it through `ring_etcd`."""
    async with etcd_members(tmp_path_factory.mktemp("etcd-ring"), count=1) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def ring_etcd(ring_member: EtcdCluster) -> AsyncIterator[EtcdCluster]:
    """One running etcd member without any keys. The test may kill it."""
    await ring_member.heal()
    async with EtcdClient.connect(ring_member.endpoints, attempt_timeout_s=PATIENT_S) as client:
        for prefix in ("ring/", "tombstones/", "purged/"):
            await client.delete_prefix(prefix)
    yield ring_member


@pytest_asyncio.fixture
async def ring_client(ring_etcd: EtcdCluster) -> AsyncIterator[EtcdClient]:
    """A client of that member."""
    async with EtcdClient.connect(ring_etcd.endpoints, attempt_timeout_s=PATIENT_S) as client:
        yield client
