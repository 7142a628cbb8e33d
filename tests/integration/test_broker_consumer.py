"""A consumer of one work queue on a real RabbitMQ."""

from __future__ import annotations

import asyncio

from services.shared.broker import QueueConsumer, dead_queue
from services.shared.errors import PermanentJobError, TransientJobError
from tests.harness.rabbitmq import VirtualHost
from tests.harness.waiting import eventually
from tests.harness.workshop import Workshop, connected, job, running

QUEUE = "storage.handoff.node-1"


async def test_it_handles_as_many_at_a_time_as_it_was_told(vhost: VirtualHost) -> None:
    shop = Workshop()
    names = [f"segment-{number}" for number in range(10)]
    shop.hold(*names)
    async with connected(vhost.url, instance="node-1") as broker:
        for name in names:
            await broker.publish_job(QUEUE, job(name))
        async with running(QueueConsumer(broker, QUEUE, handle=shop.handle, prefetch=3)):
            await eventually(lambda: len(shop.begun) == 3, what="three were taken")
            assert await broker.depth(QUEUE) == 7
            tags = await eventually(lambda: vhost.consumer_tags(QUEUE), what="its tag is shown")
            assert tags == ["node-1: consumes storage.handoff.node-1"]
            shop.release()
            await eventually(lambda: len(shop.finished) == 10, what="all were done")


async def test_failures_are_retried_and_hopeless_ones_die(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.fail("segment-1", TransientJobError("the peer was away"))
    shop.fail("segment-2", PermanentJobError("no such segment"))
    async with connected(vhost.url, instance="node-1") as broker:
        consumer = QueueConsumer(broker, QUEUE, handle=shop.handle, on_dead=shop.on_dead, prefetch=2)
        async with running(consumer):
            await broker.publish_job(QUEUE, job("segment-1"))
            await broker.publish_job(QUEUE, job("segment-2"))
            await eventually(lambda: shop.finished == ["segment-1"], what="the first was done")
            await eventually(lambda: shop.buried, what="the second was given up")
        [dead] = await broker.dead_letters.list(QUEUE)

    assert shop.buried == [("segment-2", "no such segment")]
    assert (dead.message_id, dead.error) == ("segment-2", "no such segment")
    assert dead_queue(QUEUE) in await vhost.queues()


async def test_stopping_lets_what_runs_finish(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("segment-1")
    async with connected(vhost.url, instance="node-1") as broker:
        await broker.publish_job(QUEUE, job("segment-1"))
        await broker.publish_job(QUEUE, job("segment-2"))
        async with running(QueueConsumer(broker, QUEUE, handle=shop.handle)):
            await eventually(lambda: shop.begun, what="one was taken")
            await eventually(lambda: vhost.consumer_tags(QUEUE), what="its tag is shown")
            releasing = asyncio.create_task(release_when_left(vhost, shop))

        await releasing
        assert shop.finished == ["segment-1"]
        assert await broker.depth(QUEUE) == 1


async def release_when_left(vhost: VirtualHost, shop: Workshop) -> None:
    """Let the job end once nobody consumes its queue any more."""

    async def left() -> bool:
        return not await vhost.consumer_tags(QUEUE)

    await eventually(left, deadline_s=60, what="it takes nothing more")
    shop.release()


async def test_cancelling_hands_everything_back(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("segment-1", "segment-2")
    async with connected(vhost.url, instance="node-1") as broker:
        await broker.publish_job(QUEUE, job("segment-1"))
        await broker.publish_job(QUEUE, job("segment-2"))
        async with running(QueueConsumer(broker, QUEUE, handle=shop.handle, prefetch=2)) as task:
            await eventually(lambda: len(shop.begun) == 2, what="both were taken")
            task.cancel()
            await asyncio.wait([task])

        async def back() -> bool:
            return await broker.depth(QUEUE) == 2

        await eventually(back, what="both wait again")
    assert sorted(shop.cancelled) == ["segment-1", "segment-2"]
