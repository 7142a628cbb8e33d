"""etcd for tests: a fast single member, a cluster of three, and a client on keys of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from services.shared.etcd import EtcdClient
from tests.harness.etcd import EtcdCluster, etcd_members


@pytest_asyncio.fixture(scope="session")
async def etcd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EtcdCluster]:
    """One member, shared by the whole run: keep to a prefix of your own, and leave it running."""
    async with etcd_members(tmp_path_factory.mktemp("etcd"), count=1) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="session")
async def etcd_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EtcdCluster]:
    """Three members, shared by the whole run: keep to a prefix of your own. To hurt: `fragile_cluster`."""
    async with etcd_members(tmp_path_factory.mktemp("etcd-cluster"), count=3) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def fragile_cluster(etcd_cluster: EtcdCluster) -> AsyncIterator[EtcdCluster]:
    """The cluster of three, whole at the start of the test and made whole after it."""
    await etcd_cluster.heal()
    yield etcd_cluster
    await etcd_cluster.heal()


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test uses."""
    return f"test/{uuid4().hex}/"


@pytest_asyncio.fixture
async def etcd_client(etcd: EtcdCluster) -> AsyncIterator[EtcdClient]:
    """A client of the single member."""
    async with EtcdClient.connect(etcd.endpoints) as client:
        yield client
