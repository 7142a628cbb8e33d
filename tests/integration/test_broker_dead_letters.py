"""Dead letters on a real RabbitMQ: what becomes one, and what can be done with it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from services.shared.broker import Broker, Envelope, JobConsumer, dead_queue
from services.shared.broker.topology import DELIVERY_LIMIT
from services.shared.errors import PermanentJobError
from services.shared.messages import BULK_QUEUE, FIRST_QUEUE
from tests.harness.rabbitmq import VirtualHost
from tests.harness.waiting import eventually
from tests.harness.workshop import Workshop, connected, job, running


async def bury(broker: Broker, *names: str) -> None:
    for name in names:
        await broker.publisher.dead(BULK_QUEUE, replace(job(name), attempt=5, error=f"{name} is broken"))


async def are_there(broker: Broker, count: int) -> None:
    """Wait until those that somebody has looked at are back in their queue."""

    async def all_back() -> bool:
        return await broker.depth(dead_queue(BULK_QUEUE)) == count

    await eventually(all_back, deadline_s=60, what=f"{count} dead letters are in their queue")


async def test_listing_shows_the_reason_and_leaves_them_where_they_are(vhost: VirtualHost) -> None:
    async with connected(vhost.url, instance="admin") as broker:
        await bury(broker, "piece-1", "piece-2", "piece-3")

        for _ in range(DELIVERY_LIMIT + 5):
            letters = await broker.dead_letters.list(BULK_QUEUE, limit=2)
            await are_there(broker, 3)

        assert [(letter.message_id, letter.error) for letter in letters] == [
            ("piece-1", "piece-1 is broken"),
            ("piece-2", "piece-2 is broken"),
        ]
        assert letters[0].queue == BULK_QUEUE
        assert letters[0].attempt == 5


async def test_there_may_be_none(vhost: VirtualHost) -> None:
    async with connected(vhost.url, instance="admin") as broker:
        assert await broker.dead_letters.list("storage.handoff.node-1") == ()
        assert await broker.dead_letters.discard(FIRST_QUEUE, lambda _: True) == 0


async def test_those_that_are_wanted_can_be_thrown_away(vhost: VirtualHost) -> None:
    async with connected(vhost.url, instance="admin") as broker:
        await bury(broker, "piece-1", "piece-2", "piece-3")

        assert await broker.dead_letters.discard(BULK_QUEUE, _is_second) == 1
        await are_there(broker, 2)

        left = await broker.dead_letters.list(BULK_QUEUE)
    assert [letter.message_id for letter in left] == ["piece-1", "piece-3"]


async def test_of_all_letters_the_first_that_are_wanted_are_listed(vhost: VirtualHost) -> None:
    async with connected(vhost.url, instance="admin") as broker:
        await bury(broker, "piece-1", "piece-2", "piece-3", "piece-2")
        [letter] = await broker.dead_letters.list(BULK_QUEUE, _is_second, limit=1)
        await are_there(broker, 4)
        assert letter.message_id == "piece-2"
        assert len(await broker.dead_letters.list(BULK_QUEUE, _is_second, limit=3)) == 2


async def test_what_dies_while_others_are_held_is_not_thrown_away_with_them(vhost: VirtualHost) -> None:
    async with connected(vhost.url, instance="admin") as broker:
        await bury(broker, "piece-1", "piece-2")
        async with broker.dead_letters.borrowed([FIRST_QUEUE, BULK_QUEUE], _is_second) as letters:
            await bury(broker, "piece-2", "piece-3")
            for letter in letters:
                await letter.ack()
        await are_there(broker, 3)
        left = await broker.dead_letters.list(BULK_QUEUE)
    assert sorted(letter.message_id for letter in left) == ["piece-1", "piece-2", "piece-3"]


async def test_held_letters_that_are_not_acknowledged_go_back(vhost: VirtualHost) -> None:
    async with connected(vhost.url, instance="admin") as broker:
        await bury(broker, "piece-1", "piece-2")
        async with broker.dead_letters.borrowed([BULK_QUEUE], lambda _: True) as letters:
            await letters[0].ack()
        await are_there(broker, 1)


def _is_second(letter: Envelope) -> bool:
    return letter.message_id == "piece-2"


async def test_a_job_that_kills_its_workers_becomes_a_dead_letter(vhost: VirtualHost) -> None:
    async with connected(vhost.url) as broker:
        await broker.publish_job(BULK_QUEUE, job("killer"))
        for _ in range(DELIVERY_LIMIT + 1):
            await _take_and_die(broker)

        async def died() -> int:
            return await broker.depth(dead_queue(BULK_QUEUE))

        await eventually(died, deadline_s=60, what="the broker gave it up")
        [letter] = await broker.dead_letters.list(BULK_QUEUE)

    assert letter.message_id == "killer"
    assert "died or lost its connection" in letter.error


async def _take_and_die(broker: Broker) -> None:
    """What the broker sees of a worker whose process is killed: the job is taken, and the channel is gone."""
    async with broker.consuming.channel(prefetch=1) as channel:
        queue = await channel.get_queue(BULK_QUEUE, ensure=False)

        async def taken() -> object:
            return await queue.get(fail=False, timeout=None)

        await eventually(taken, deadline_s=60, what="it was taken")


async def test_a_message_that_cannot_even_be_put_aside_dies_at_once(
    vhost: VirtualHost,
) -> None:
    shop = Workshop()
    shop.fail("", PermanentJobError("Nobody knows what this is."))
    async with connected(vhost.url) as broker, running(JobConsumer(broker, handle=shop.handle)):
        await eventually(lambda: vhost.consumer_tags(BULK_QUEUE), deadline_s=60, what="it waits for jobs")
        await vhost.publish(BULK_QUEUE, body="?")

        async def died() -> int:
            return await broker.depth(dead_queue(BULK_QUEUE))

        await eventually(died, deadline_s=60, what="it is a dead letter")
        [letter] = await broker.dead_letters.list(BULK_QUEUE)
    assert "no message of ours" in letter.error
    assert shop.begun == [""]


async def test_a_job_that_is_only_handed_on_never_dies_of_it(vhost: VirtualHost) -> None:
    """RabbitMQ counts each return against the job, also that of a worker which stops or has enough to do."""
    async with connected(vhost.url) as broker:
        await broker.publish_job(BULK_QUEUE, job("innocent"))
        for _ in range(2 * DELIVERY_LIMIT):
            await _take_and_hand_back(broker)
        assert await broker.depth(dead_queue(BULK_QUEUE)) == 0
        shop = Workshop()
        async with running(JobConsumer(broker, handle=shop.handle)):
            await eventually(lambda: shop.finished, deadline_s=60, what="it was done")
    assert shop.begun == ["innocent"]


async def _take_and_hand_back(broker: Broker) -> None:
    shop = Workshop()
    shop.hold("innocent")
    async with running(JobConsumer(broker, handle=shop.handle)) as task:
        await eventually(lambda: shop.begun, what="it was taken")
        task.cancel()
        await asyncio.wait([task])
