"""Web processes for tests: one that many share, and others that a test starts for itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from services.shared.catalog import Catalog
from tests.harness.rabbitmq import RabbitProcess, VirtualHost, virtual_host
from tests.harness.storage import StorageCluster
from tests.harness.web import Json, WebProcess, like_a_video, web_process

StartWeb = Callable[..., Awaitable[WebProcess]]


@pytest_asyncio.fixture(scope="session")
async def shared_web(
    shared_storage: StorageCluster, rabbitmq: RabbitProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WebProcess]:
    """The web process that many tests share; use it through `web`."""
    folder = tmp_path_factory.mktemp("web")
    async with (
        virtual_host(rabbitmq) as vhost,
        web_process(folder, etcd=shared_storage.etcd.endpoints, amqp_url=vhost.url) as web,
    ):
        yield web


@pytest_asyncio.fixture
async def web(storage: StorageCluster, shared_web: WebProcess) -> WebProcess:
    """A web process over the ring of `storage`, ready. No transcoder: what is uploaded stays as it is."""
    assert list(storage.etcd.endpoints) == list(shared_web.etcd)
    shared_web.server.revive()
    await shared_web.ready()
    return shared_web


@pytest_asyncio.fixture
async def http(web: WebProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that process."""
    async with web.client() as client:
        yield client


@pytest.fixture
def catalog(storage: StorageCluster) -> Catalog:
    """The catalogue that it works on."""
    return Catalog(storage.client)


@pytest_asyncio.fixture
async def video(web: WebProcess) -> Json:
    """One that was just uploaded; nobody processes it."""
    return await web.upload(like_a_video(5000), title="A title")


@pytest_asyncio.fixture
async def start_web(storage: StorageCluster, vhost: VirtualHost, tmp_path: Path) -> AsyncIterator[StartWeb]:
    """Starts further web processes, `await start_web("--part-bytes", "1048576", name="other")`."""
    async with AsyncExitStack() as stack:

        async def start(*options: str, name: str = "own") -> WebProcess:
            return await stack.enter_async_context(
                web_process(
                    tmp_path, etcd=storage.etcd.endpoints, amqp_url=vhost.url, options=options, name=name
                )
            )

        yield start
