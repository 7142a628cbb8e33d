"""Storage nodes for tests: one ring of three nodes with two copies, whole before and after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.shared.content import ContentStore
from tests.harness.etcd import etcd_members
from tests.harness.storage import StorageCluster, storage_cluster


@pytest_asyncio.fixture(scope="session")
async def shared_storage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StorageCluster]:
    """The ring that all tests share; use it through `storage`."""
    folder = tmp_path_factory.mktemp("storage")
    async with (
        etcd_members(folder / "etcd", count=1) as etcd,
        storage_cluster(folder, etcd) as cluster,
    ):
        yield cluster


@pytest_asyncio.fixture
async def storage(shared_storage: StorageCluster) -> AsyncIterator[StorageCluster]:
    """Three nodes, two copies. The test may kill, freeze and damage; keep to videos of your own."""
    await shared_storage.heal()
    yield shared_storage
    await shared_storage.heal()


@pytest_asyncio.fixture
async def content(storage: StorageCluster) -> AsyncIterator[ContentStore]:
    """A client of that ring."""
    async with storage.content() as client:
        yield client
