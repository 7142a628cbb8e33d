"""A worker's consumer on a real RabbitMQ: the next job begins while the last one is wound up."""

from __future__ import annotations

from services.shared.messages import BULK_QUEUE, FIRST_QUEUE
from tests.harness.rabbitmq import VirtualHost
from tests.harness.waiting import eventually
from tests.harness.workshop import Workshop, connected, job, worker


async def publish(vhost: VirtualHost, *names: str, queue: str = BULK_QUEUE) -> None:
    async with connected(vhost.url, instance="web-1") as broker:
        for name in names:
            await broker.publish_job(queue, job(name))


async def ready(vhost: VirtualHost) -> int:
    """How many jobs wait."""
    return int((await vhost.queues())[BULK_QUEUE]["messages_ready"])


async def test_the_next_job_begins_while_the_last_one_is_wound_up(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold_winding_up("piece-1")
    async with worker(vhost.url, shop):
        await publish(vhost, "piece-1", "piece-2")
        await eventually(lambda: shop.finished == ["piece-2"], what="the second job is done")
        await eventually(lambda: vhost.unsettled(BULK_QUEUE), what="the first one is unsettled")
        shop.release()
        await eventually(lambda: shop.finished == ["piece-2", "piece-1"], what="the first one is done")


async def test_no_third_job_begins_before_the_first_is_done(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold_winding_up("piece-1", "piece-2")
    async with worker(vhost.url, shop):
        await publish(vhost, "piece-1", "piece-2", "piece-3")

        async def two_taken() -> bool:
            return shop.begun == ["piece-1", "piece-2"] and await ready(vhost) == 1

        await eventually(two_taken, deadline_s=60, what="two are taken, and one waits")
        await publish(vhost, "urgent", queue=FIRST_QUEUE)
        shop.release("piece-1")
        await eventually(lambda: "urgent" in shop.finished, what="another one has begun")
        assert shop.begun == ["piece-1", "piece-2", "urgent"]
        assert shop.finished == ["piece-1", "urgent"]
        shop.release()
        await eventually(lambda: "piece-3" in shop.finished, what="all are done")


async def test_a_worker_that_stops_finishes_both(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold_winding_up("piece-1")
    shop.hold("piece-2")
    async with worker(vhost.url, shop) as running:
        await publish(vhost, "piece-1", "piece-2", "piece-3")
        await eventually(lambda: len(shop.begun) == 2, what="two are taken")
        shop.release("piece-2")
        await eventually(lambda: shop.finished == ["piece-2"], what="the second is done")
        shop.hold("piece-3")
        assert not running.done()
        shop.release("piece-1")
        await eventually(lambda: "piece-1" in shop.finished, what="the first is done")
        shop.release()
    assert shop.cancelled == []


async def test_both_are_handed_back_by_a_worker_that_may_not_wait(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold_winding_up("piece-1")
    shop.hold("piece-2")
    async with worker(vhost.url, shop) as running:
        await publish(vhost, "piece-1", "piece-2")
        await eventually(lambda: len(shop.begun) == 2, what="two are taken")
        running.cancel()
        await eventually(running.done, what="it stopped")

        async def handed_back() -> bool:
            return await ready(vhost) == 2

        await eventually(handed_back, deadline_s=60, what="both wait again")
    assert sorted(shop.cancelled) == ["piece-1", "piece-2"]


async def test_both_are_given_up_when_the_connection_is_lost(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold_winding_up("piece-1")
    shop.hold("piece-2")
    async with worker(vhost.url, shop):
        await publish(vhost, "piece-1", "piece-2")
        await eventually(lambda: len(shop.begun) == 2, what="two are taken")
        await vhost.cut("transcoder worker-1")
        await eventually(lambda: len(shop.cancelled) == 2, deadline_s=60, what="both are stopped")
        shop.release()
        await eventually(lambda: len(shop.finished) == 2, deadline_s=60, what="both are done in the end")
    assert sorted(shop.finished) == ["piece-1", "piece-2"]


async def test_a_job_that_came_back_is_done_alone(vhost: VirtualHost) -> None:
    """It may be what ended its worker; others are left to other workers."""
    shop, other = Workshop(), Workshop()
    shop.hold_winding_up("piece-1", "piece-2")
    async with worker(vhost.url, shop):
        await publish(vhost, "piece-1", "piece-2")
        await eventually(lambda: len(shop.begun) == 2, what="two are taken")
        await vhost.cut("transcoder worker-1")
        await eventually(lambda: len(shop.begun) > 2, deadline_s=60, what="one of them is taken again")
        [left] = {"piece-1", "piece-2"} - {shop.begun[-1]}
        async with worker(vhost.url, other, instance="worker-2"):
            await eventually(lambda: other.finished == [left], deadline_s=60, what="the other one is done")
        assert len(shop.begun) == 3
        shop.release()
        await eventually(lambda: shop.finished, what="it is done")


async def test_a_job_that_came_back_waits_for_the_one_that_is_wound_up(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("piece-1")
    async with worker(vhost.url, shop) as running:
        await publish(vhost, "piece-1")
        await eventually(lambda: shop.begun, what="it is taken")
        running.cancel()
        await eventually(running.done, what="it is handed back")
    shop.hold_winding_up("urgent")
    await publish(vhost, "urgent", queue=FIRST_QUEUE)
    async with worker(vhost.url, shop):
        await eventually(lambda: vhost.unsettled(BULK_QUEUE), deadline_s=60, what="it is taken again")
        assert shop.begun == ["piece-1", "urgent"]
        shop.release()
        await eventually(lambda: shop.finished == ["urgent", "piece-1"], what="both are done")


async def test_the_ui_shows_both(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold_winding_up("piece-1")
    shop.hold("piece-2")
    one = 'transcode.piece of "My video" (attempt 1)'
    async with worker(vhost.url, shop):

        async def shown(text: str) -> bool:
            return await vhost.consumer_tags("worker.worker-1") == [f"worker-1: {text}"]

        await publish(vhost, "piece-1", "piece-2")
        await eventually(lambda: shown(f"{one}; {one}"), deadline_s=60, what="both are shown")
        shop.release("piece-1")
        await eventually(lambda: shown(one), deadline_s=60, what="one is shown")
        shop.release()
