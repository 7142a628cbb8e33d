"""Archives for tests: one for a module, whole before each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness.finished import Archive, archive
from tests.harness.rabbitmq import RabbitProcess, virtual_host
from tests.harness.storage import StorageCluster


@pytest_asyncio.fixture(scope="module")
async def shared_house(
    shared_storage: StorageCluster, rabbitmq: RabbitProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archive]:
    """A ring of three nodes with two copies of each file, and one worker; use it through `house`."""
    await shared_storage.heal()
    async with (
        virtual_host(rabbitmq) as vhost,
        archive(shared_storage, vhost.url, tmp_path_factory.mktemp("archive")) as house,
    ):
        yield house


@pytest_asyncio.fixture
async def house(shared_house: Archive, storage: StorageCluster) -> Archive:  # noqa: ARG001 - the ring is healed
    """The archive, with its worker running and its ring whole."""
    shared_house.worker.revive()
    return shared_house
