"""The broker is killed, cut off, or loses queues, while work is under way."""

from __future__ import annotations

import asyncio

import pytest

from services.shared.broker import Envelope, JobConsumer, QueueConsumer, Turn
from services.shared.messages import BULK_QUEUE, FIRST_QUEUE
from tests.harness.rabbitmq import VirtualHost
from tests.harness.waiting import eventually
from tests.harness.workshop import Workshop, connected, job, running, worker


async def test_a_broker_killed_mid_job_takes_the_job_away_and_gives_it_again(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("piece-1")
    async with connected(vhost.url, instance="web-1") as broker, worker(vhost.url, shop):
        await broker.publish_job(FIRST_QUEUE, job("piece-1"))
        await broker.publish_job(BULK_QUEUE, job("piece-2"))
        await eventually(lambda: shop.begun, what="the job was taken")

        vhost.rabbit.kill()
        await eventually(lambda: shop.cancelled == ["piece-1"], what="the handler was cancelled")
        await vhost.rabbit.start()
        await eventually(lambda: shop.begun.count("piece-1") == 2, deadline_s=120, what="it was taken again")
        shop.release()
        await eventually(lambda: len(shop.finished) == 2, deadline_s=120, what="everything is done")

    # A queue that has no leader yet after the restart looks empty: the other job may come in between.
    assert sorted(shop.begun) == ["piece-1", "piece-1", "piece-2"]
    _, again = (envelope for envelope in shop.started if envelope.message_id == "piece-1")
    assert again.redelivered
    assert again.attempt == 1


async def test_a_worker_goes_on_after_an_orderly_restart_of_the_broker(vhost: VirtualHost) -> None:
    shop = Workshop()
    async with (
        connected(vhost.url, instance="web-1", publish_timeout_s=60) as broker,
        worker(vhost.url, shop),
    ):
        await eventually(lambda: vhost.consumer_tags("worker.worker-1"), what="it is up")
        vhost.rabbit.stop()
        await vhost.rabbit.start()
        await broker.publish_job(BULK_QUEUE, job("piece-1"))
        await eventually(lambda: shop.finished, deadline_s=120, what="it was done")
        await eventually(
            lambda: vhost.consumer_tags("worker.worker-1"), deadline_s=120, what="it listens again"
        )


async def test_a_worker_whose_connection_is_cut_loses_its_job_and_connects_again(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("piece-1")
    async with connected(vhost.url, instance="web-1") as broker, worker(vhost.url, shop):
        await broker.publish_job(FIRST_QUEUE, job("piece-1"))
        await eventually(lambda: shop.begun, what="the job was taken")

        await vhost.cut("transcoder worker-1")
        await eventually(lambda: shop.cancelled, what="the handler was cancelled")
        shop.release()
        await eventually(lambda: shop.finished, deadline_s=120, what="it was done")

    assert shop.begun == ["piece-1", "piece-1"]


async def test_an_idle_worker_survives_the_loss_of_its_queues(vhost: VirtualHost) -> None:
    shop = Workshop()
    async with connected(vhost.url, instance="web-1") as broker, worker(vhost.url, shop):
        await eventually(lambda: vhost.consumer_tags(BULK_QUEUE), what="it waits for jobs")
        await vhost.delete_queue(FIRST_QUEUE)
        await vhost.delete_queue(BULK_QUEUE)

        async def redeclared() -> bool:
            return {FIRST_QUEUE, BULK_QUEUE} <= set(await vhost.queues())

        await eventually(redeclared, what="the worker made them again")
        await broker.publish_job(BULK_QUEUE, job("piece-1"))
        await eventually(lambda: shop.finished, what="it was done")


async def test_a_queue_consumer_survives_the_loss_of_its_queue(vhost: VirtualHost) -> None:
    shop = Workshop()
    queue = "storage.handoff.node-1"
    async with (
        connected(vhost.url, instance="node-1") as broker,
        running(QueueConsumer(broker, queue, handle=shop.handle, prefetch=4, patience_s=1)),
    ):
        await eventually(lambda: vhost.consumer_tags(queue), what="it consumes")
        await vhost.delete_queue(queue)
        await broker.publish_job(queue, job("segment-1"))
        await eventually(lambda: shop.finished, deadline_s=120, what="it was done")


async def test_a_queue_consumer_goes_on_after_the_broker_was_killed(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("segment-1", "segment-2")
    queue = "storage.handoff.node-1"
    async with (
        connected(vhost.url, instance="node-1", publish_timeout_s=60) as broker,
        running(QueueConsumer(broker, queue, handle=shop.handle, prefetch=4)),
    ):
        await broker.publish_job(queue, job("segment-1"))
        await broker.publish_job(queue, job("segment-2"))
        await eventually(lambda: len(shop.begun) == 2, what="both were taken")
        vhost.rabbit.kill()
        await eventually(lambda: len(shop.cancelled) == 2, what="both handlers were cancelled")
        await vhost.rabbit.start()
        shop.release()
        await eventually(lambda: len(shop.finished) == 2, deadline_s=120, what="both were done")


async def test_a_result_that_comes_after_the_lease_is_no_error(vhost: VirtualHost) -> None:
    """The handler refuses to be cancelled, as one in its last step may."""
    taken, cut = asyncio.Event(), asyncio.Event()
    ends: list[str] = []

    async def stubborn(_envelope: Envelope, _turn: Turn) -> None:
        taken.set()
        try:
            await cut.wait()
            ends.append("in time")
        except asyncio.CancelledError:
            ends.append("late")

    async with connected(vhost.url) as broker, running(JobConsumer(broker, handle=stubborn)):
        await broker.publish_job(FIRST_QUEUE, job("piece-1"))
        await taken.wait()
        await vhost.cut("transcoder worker-1")
        await eventually(lambda: ends == ["late"], what="it ended late")
        cut.set()
        await eventually(lambda: ends == ["late", "in time"], deadline_s=120, what="it was done again")


@pytest.mark.chaos
async def test_a_broker_that_falls_silent_loses_its_lease_on_us(vhost: VirtualHost) -> None:
    """Its connections stay open, so only the missing heartbeats tell."""
    shop = Workshop()
    shop.hold("piece-1")
    async with connected(vhost.url, instance="web-1") as broker, worker(vhost.url, shop):
        await broker.publish_job(FIRST_QUEUE, job("piece-1"))
        await eventually(lambda: shop.begun, what="the job was taken")

        vhost.rabbit.freeze()
        await eventually(lambda: shop.cancelled, deadline_s=90, what="the handler was cancelled")
        vhost.rabbit.thaw()
        shop.release()
        await eventually(lambda: shop.finished, deadline_s=90, what="it was done")
