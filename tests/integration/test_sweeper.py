"""The sweeper with real etcd and RabbitMQ: what it takes for lost, and what it leaves alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio

from services.shared.broker import Broker, Envelope, JobConsumer, Topology, Turn
from services.shared.catalog import PLAN, Catalog, Originals, Verifications, WorkBook, keys
from services.shared.content import ContentStore
from services.shared.dispatch import Dispatcher
from services.shared.errors import OutOfSpaceError, TransientJobError
from services.shared.etcd import EtcdClient
from services.shared.messages import FIRST_QUEUE, PlanJob
from services.shared.video import Video
from services.transcoder.aside import Aside
from services.transcoder.progress import Progress
from services.transcoder.sweeper import Sweeper
from tests.harness.rabbitmq import VirtualHost
from tests.harness.videos import video_record
from tests.harness.waiting import eventually
from tests.harness.workshop import connected, running

PATIENT = Topology()
_RETRIES = f"retry.{FIRST_QUEUE}"


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a sweeper looks at, and one video of which nobody has heard for years."""

    sweeper: Sweeper
    broker: Broker
    book: WorkBook
    dispatcher: Dispatcher
    aside: Aside
    video: Video
    vhost: VirtualHost

    async def waiting(self) -> int:
        """How many messages wait for it, to be taken now or later; other tests may have left videos, too."""
        names = [name for name in await self.vhost.queues() if name.endswith(FIRST_QUEUE) or _RETRIES in name]
        rows = [row for name in names for row in await self.vhost.messages(name)]
        return sum(row["properties"]["correlation_id"] == self.video.id for row in rows)

    async def put_aside(self, envelope: Envelope) -> None:
        """Note it as a worker does."""
        await self.aside.note(PlanJob.model_validate_json(envelope.body))


@pytest_asyncio.fixture
async def site(vhost: VirtualHost, etcd_client: EtcdClient, content: ContentStore) -> AsyncIterator[Site]:
    async with connected(vhost.url, topology=PATIENT) as broker:
        catalog, book, dispatcher = Catalog(etcd_client), WorkBook(etcd_client), Dispatcher(broker)
        verifications = Verifications(etcd_client)
        video = video_record()
        await etcd_client.put(keys.video(video.id), video.encode())
        await etcd_client.put(keys.active(video.id), b"")
        yield Site(
            sweeper=Sweeper(
                catalog=catalog,
                book=book,
                verifications=verifications,
                broker=broker,
                dispatcher=dispatcher,
                progress=Progress(
                    catalog=catalog, book=book, content=content, dispatcher=dispatcher, verify=False
                ),
                originals=Originals(etcd_client),
                interval_s=60,
                unserved_after_s=30,
            ),
            broker=broker,
            book=book,
            dispatcher=dispatcher,
            aside=Aside(catalog=catalog, book=book, verifications=verifications),
            video=video,
            vhost=vhost,
        )


@asynccontextmanager
async def working(site: Site, handle: Callable[[Envelope, Turn], Awaitable[None]]) -> AsyncIterator[None]:
    consumer = JobConsumer(site.broker, handle=handle, on_put_aside=site.put_aside, queues=[FIRST_QUEUE])
    async with running(consumer):
        yield


async def test_what_nobody_works_on_is_asked_for_again(site: Site):
    await site.sweeper.sweep()
    assert await eventually(site.waiting, what="a message is there") == 1


async def test_what_somebody_works_on_is_not_lost_however_long_that_takes(
    site: Site, etcd_client: EtcdClient
):
    async with (
        etcd_client.lease(60) as lease,
        site.book.doing(PLAN, site.video.id, 0, worker="w", lease_id=lease.id),
    ):
        await site.sweeper.sweep()
        assert await site.waiting() == 0
    await site.sweeper.sweep()
    assert await eventually(site.waiting, what="a message is there") == 1


@pytest.mark.parametrize("error", [OutOfSpaceError("no room"), TransientJobError("no luck")])
async def test_what_is_put_aside_is_not_lost(site: Site, error: Exception):
    async def fail(_envelope: Envelope, _turn: Turn) -> None:
        raise error

    async def put_aside() -> bool:
        return await site.broker.retry_depth(FIRST_QUEUE) == 1

    await site.dispatcher.plan(site.video)
    async with working(site, fail):
        await eventually(put_aside, deadline_s=60, what="it waits for another attempt")
    await site.sweeper.sweep()
    assert await site.waiting() == 1
