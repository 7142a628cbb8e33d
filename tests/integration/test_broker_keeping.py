"""A worker's consumer on a real RabbitMQ: jobs that take longer than the broker waits for them."""

from __future__ import annotations

import asyncio

import pytest

from services.shared.broker import dead_queue
from services.shared.errors import OutOfSpaceError, PermanentJobError, TransientJobError
from services.shared.messages import FIRST_QUEUE
from tests.harness.rabbitmq import VirtualHost
from tests.harness.waiting import eventually
from tests.harness.workshop import Workshop, connected, job, worker

SOON_S = 0.2


async def until_kept(vhost: VirtualHost, shop: Workshop) -> None:
    """Wait until the job is worked on, and the broker has no message of it any more."""

    async def kept() -> bool:
        return bool(shop.begun) and (await vhost.queues())[FIRST_QUEUE].get("messages") == 0

    await eventually(kept, deadline_s=60, what="the message is settled before the job has ended")


async def test_a_long_job_is_settled_before_its_end_and_done_once(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("film")
    async with connected(vhost.url, instance="web-1") as broker:
        async with worker(vhost.url, shop, keep_after_s=SOON_S):
            await broker.publish_job(FIRST_QUEUE, job("film"))
            await until_kept(vhost, shop)
            assert shop.finished == []
            shop.release()
            await eventually(lambda: shop.finished, what="it is done")
        assert await broker.depth(FIRST_QUEUE) == 0
    assert shop.begun == ["film"]


async def test_a_long_job_goes_on_without_the_connection_that_brought_it(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("film")
    async with connected(vhost.url) as broker, worker(vhost.url, shop, keep_after_s=SOON_S):
        await broker.publish_job(FIRST_QUEUE, job("film"))
        await until_kept(vhost, shop)
        await vhost.cut("transcoder worker-1")
        await broker.publish_job(FIRST_QUEUE, job("next"))
        shop.release()
        await eventually(lambda: shop.finished == ["film", "next"], deadline_s=60, what="both are done")
    assert shop.begun == ["film", "next"]
    assert shop.cancelled == []


@pytest.mark.parametrize(
    ("error", "attempt"), [(TransientJobError("the disk was slow"), 2), (OutOfSpaceError("no room"), 1)]
)
async def test_a_long_job_that_failed_comes_back_as_a_new_message(
    vhost: VirtualHost, error: Exception, attempt: int
) -> None:
    shop = Workshop()
    shop.hold("film")
    shop.fail("film", error)
    async with (
        connected(vhost.url, instance="web-1") as broker,
        worker(vhost.url, shop, keep_after_s=SOON_S),
    ):
        await broker.publish_job(FIRST_QUEUE, job("film"))
        await until_kept(vhost, shop)
        shop.release()
        await eventually(lambda: shop.finished, deadline_s=60, what="it is done in the end")
    first, second = shop.started
    assert (second.attempt, second.error) == (attempt, str(error))
    assert first.delivery in second.earlier


async def test_a_long_job_that_is_hopeless_becomes_a_dead_letter(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("film")
    shop.fail("film", PermanentJobError("This is not a video."))
    async with connected(vhost.url, instance="web-1") as broker:
        async with worker(vhost.url, shop, keep_after_s=SOON_S):
            await broker.publish_job(FIRST_QUEUE, job("film"))
            await until_kept(vhost, shop)
            shop.release()
            await eventually(lambda: broker.depth(dead_queue(FIRST_QUEUE)), deadline_s=60, what="it has died")
        [letter] = await broker.dead_letters.list(FIRST_QUEUE)
    assert (letter.message_id, letter.error) == ("film", "This is not a video.")
    assert shop.buried == [("film", "This is not a video.")]


async def test_a_worker_that_may_not_wait_asks_others_to_do_its_long_job(vhost: VirtualHost) -> None:
    shop, other = Workshop(), Workshop()
    shop.hold("film")
    async with connected(vhost.url, instance="web-1") as broker:
        await broker.publish_job(FIRST_QUEUE, job("film"))
        async with worker(vhost.url, shop, keep_after_s=SOON_S) as task:
            await until_kept(vhost, shop)
            task.cancel()
            await asyncio.wait([task])
        async with worker(vhost.url, other, instance="worker-2"):
            await eventually(lambda: other.finished, deadline_s=60, what="another worker did it")
    assert shop.cancelled == ["film"]
    assert other.begun == ["film"]
    assert other.started[0].attempt == 1
    assert shop.started[0].delivery in other.started[0].earlier
