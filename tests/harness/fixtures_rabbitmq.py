"""RabbitMQ for tests: one server for the whole run, and a virtual host of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness.rabbitmq import RabbitProcess, VirtualHost, virtual_host


@pytest_asyncio.fixture(scope="session")
async def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RabbitProcess]:
    """One server, shared by the whole run. Whoever kills it starts it again (`heal`)."""
    process = RabbitProcess.in_folder(tmp_path_factory.mktemp("rabbitmq"))
    await process.start()
    yield process
    if process.running:
        process.kill()


@pytest_asyncio.fixture
async def vhost(rabbitmq: RabbitProcess) -> AsyncIterator[VirtualHost]:
    """A part of the server that only this test uses."""
    async with virtual_host(rabbitmq) as fresh:
        yield fresh


@pytest.fixture
def amqp_url(vhost: VirtualHost) -> str:
    """Where to connect to."""
    return vhost.url
