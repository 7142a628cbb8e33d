"""News on a real RabbitMQ: everybody who listens hears it, and nobody has to."""

from __future__ import annotations

from services.shared.broker import Broker
from tests.harness.rabbitmq import VirtualHost
from tests.harness.waiting import eventually
from tests.harness.workshop import connected, job


async def tell(broker: Broker, routing_key: str, name: str) -> None:
    await broker.publish_event(routing_key, job(name))


async def test_every_listener_hears_what_it_asked_for(vhost: VirtualHost) -> None:
    async with (
        connected(vhost.url, instance="web-1") as one,
        connected(vhost.url, instance="web-2") as two,
        one.subscribe_events(["video.*"], "web.web-1") as all_videos,
        two.subscribe_events(["video.deleted", "storage.#"], "web.web-2") as some,
    ):
        await tell(one, "video.status", "a")
        await tell(two, "video.deleted", "b")
        await tell(one, "storage.ring.changed", "c")

        heard = [await anext(all_videos), await anext(all_videos)]
        assert [(event.message_id, event.routing_key) for event in heard] == [
            ("a", "video.status"),
            ("b", "video.deleted"),
        ]
        assert [(await anext(some)).message_id, (await anext(some)).message_id] == ["b", "c"]


async def test_a_listeners_queue_is_gone_when_it_is(vhost: VirtualHost) -> None:
    async with connected(vhost.url, instance="web-1") as broker:
        async with broker.subscribe_events(["video.*"], "web.web-1"):
            assert (await vhost.queues())["web.web-1"]["exclusive"]
            tags = await eventually(lambda: vhost.consumer_tags("web.web-1"), what="it consumes")
            assert tags == ["web-1: follows video.*"]

        async def gone() -> bool:
            return "web.web-1" not in await vhost.queues()

        await eventually(gone, what="the queue is gone")


async def test_a_listener_is_told_that_it_may_have_missed_something(vhost: VirtualHost) -> None:
    missed: list[bool] = []
    async with (
        connected(vhost.url, instance="web-1", publish_timeout_s=60) as broker,
        broker.subscribe_events(["video.*"], "web.web-1", on_missed=lambda: missed.append(True)) as events,
    ):
        await tell(broker, "video.status", "before")
        assert (await anext(events)).message_id == "before"
        assert missed == []

        vhost.rabbit.kill()
        await vhost.rabbit.start()
        await eventually(lambda: missed, deadline_s=60, what="it listens again")
        await tell(broker, "video.status", "after")
        assert (await anext(events)).message_id == "after"


async def test_a_slow_listener_loses_the_oldest_news(vhost: VirtualHost) -> None:
    missed: list[bool] = []
    async with (
        connected(vhost.url, instance="web-1") as broker,
        broker.subscribe_events(["video.*"], "web.web-1", on_missed=lambda: missed.append(True)) as events,
    ):
        for number in range(1_001):
            await tell(broker, "video.progress", str(number))
        await eventually(lambda: missed, what="it was told")
        assert (await anext(events)).message_id == "1"
