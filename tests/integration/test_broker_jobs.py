"""A worker's consumer on a real RabbitMQ: which job it takes, and what becomes of it."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from services.shared.broker import Broker, Dead, Envelope, JobConsumer, Topology, Turn, dead_queue
from services.shared.errors import (
    FencedError,
    OutOfSpaceError,
    PermanentJobError,
    TransientJobError,
    UnavailableError,
    UnsupportedMediaError,
)
from services.shared.messages import BULK_QUEUE, FIRST_QUEUE
from tests.harness.rabbitmq import VirtualHost
from tests.harness.waiting import eventually
from tests.harness.workshop import Workshop, connected, job, running, worker


async def until_settled(vhost: VirtualHost, queue: str = FIRST_QUEUE) -> None:
    """Wait until a queue has neither waiting nor unsettled messages."""

    async def settled() -> bool:
        row = (await vhost.queues())[queue]
        return row.get("messages") == 0

    await eventually(settled, deadline_s=60, what=f"{queue} is empty and settled")


async def publish(broker: Broker, queue: str, *names: str) -> None:
    for name in names:
        await broker.publish_job(queue, job(name))


async def test_a_job_is_acknowledged_only_when_its_handler_has_returned(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("piece-1")
    async with connected(vhost.url, instance="web-1") as broker, worker(vhost.url, shop):
        await publish(broker, FIRST_QUEUE, "piece-1")
        await eventually(lambda: shop.begun, what="the job was taken")
        await eventually(lambda: vhost.unsettled(FIRST_QUEUE), what="it is unsettled")

        shop.release()
        await until_settled(vhost)

    assert shop.finished == ["piece-1"]


async def test_the_urgent_queue_comes_first(vhost: VirtualHost) -> None:
    shop = Workshop()
    async with connected(vhost.url, instance="web-1") as broker:
        await publish(broker, BULK_QUEUE, "bulk-1", "bulk-2")
        await publish(broker, FIRST_QUEUE, "first-1", "first-2")
        async with worker(vhost.url, shop):
            await eventually(lambda: len(shop.finished) == 4, what="all jobs are done")

    assert shop.begun == ["first-1", "first-2", "bulk-1", "bulk-2"]


async def test_a_job_that_becomes_urgent_later_is_next(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("bulk-1")
    async with connected(vhost.url, instance="web-1") as broker:
        await publish(broker, BULK_QUEUE, "bulk-1", "bulk-2", "bulk-3")
        async with worker(vhost.url, shop):
            await eventually(lambda: shop.begun, what="the first bulk job was taken")
            await publish(broker, FIRST_QUEUE, "first-1")
            shop.release()
            await eventually(lambda: len(shop.finished) == 4, what="all jobs are done")

    assert shop.begun == ["bulk-1", "first-1", "bulk-2", "bulk-3"]


async def test_a_busy_worker_leaves_the_next_job_to_an_idle_one(vhost: VirtualHost) -> None:
    busy, idle = Workshop(), Workshop()
    busy.hold("long")
    async with (
        connected(vhost.url, instance="web-1") as broker,
        worker(vhost.url, busy, instance="worker-busy"),
    ):
        await publish(broker, BULK_QUEUE, "long")
        await eventually(lambda: busy.begun, what="the long job was taken")
        async with worker(vhost.url, idle, instance="worker-idle"):
            await publish(broker, BULK_QUEUE, *(f"short-{number}" for number in range(20)))
            await publish(broker, FIRST_QUEUE, "urgent")
            await eventually(lambda: len(idle.finished) == 21, what="the idle one did the rest")
        busy.release()

    assert busy.begun == ["long"]


async def test_every_job_is_done_once_by_several_workers(vhost: VirtualHost) -> None:
    shops = [Workshop() for _ in range(4)]
    names = [f"piece-{number}" for number in range(120)]
    async with connected(vhost.url, instance="web-1") as broker, asyncio.TaskGroup() as group:
        done = asyncio.Event()

        async def work(number: int) -> None:
            async with worker(vhost.url, shops[number], instance=f"worker-{number}"):
                await done.wait()

        for number in range(len(shops)):
            group.create_task(work(number))
        for name in names:
            await publish(broker, BULK_QUEUE if int(name[6:]) % 3 else FIRST_QUEUE, name)
        await eventually(
            lambda: sum(len(shop.finished) for shop in shops) >= len(names),
            deadline_s=60,
            what="all jobs are done",
        )
        done.set()

    assert sorted(name for shop in shops for name in shop.finished) == sorted(names)


@pytest.mark.parametrize(
    "error",
    [TransientJobError("the disk was slow"), UnavailableError("storage is away"), ValueError("a surprise")],
    ids=["transient", "unavailable", "unforeseen"],
)
async def test_a_failed_job_is_tried_again_after_a_delay(vhost: VirtualHost, error: Exception) -> None:
    shop = Workshop()
    shop.fail("piece-1", error, error)
    async with connected(vhost.url, instance="web-1") as broker, worker(vhost.url, shop):
        await publish(broker, FIRST_QUEUE, "piece-1")
        await eventually(lambda: shop.finished, deadline_s=60, what="it was done in the end")
        await until_settled(vhost)

    assert [envelope.attempt for envelope in shop.started] == [1, 2, 3]
    assert [envelope.error for envelope in shop.started] == ["", str(error), str(error)]
    assert {envelope.queue for envelope in shop.started} == {FIRST_QUEUE}
    assert {envelope.title for envelope in shop.started} == {"My video"}
    assert shop.buried == []


async def test_the_ui_shows_why_a_waiting_job_failed(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.fail("piece-1", TransientJobError("ffmpeg was killed", detail="signal 9"))
    patient = Topology()
    async with (
        connected(vhost.url, instance="web-1", topology=patient) as broker,
        running(JobConsumer(broker, handle=shop.handle)),
    ):
        await publish(broker, FIRST_QUEUE, "piece-1")
        [waiting] = await eventually(
            lambda: vhost.messages(patient.retry_queue(FIRST_QUEUE, failures=1)), what="it was put aside"
        )

    headers = waiting["properties"]["headers"]
    assert headers["x-error"] == "ffmpeg was killed"
    assert headers["x-detail"] == "signal 9"
    assert headers["x-attempt"] == 2


async def test_retries_wait_ten_seconds_a_minute_then_ten_minutes(vhost: VirtualHost) -> None:
    async with Broker.connect(vhost.url, app_id="web", instance="web-1") as broker:
        for failures in (1, 2, 3, 4):
            await broker.publisher.retry(FIRST_QUEUE, job(f"failed-{failures}"), failures=failures)

        queues = await vhost.queues()
        delays = {name: row["arguments"]["x-message-ttl"] for name, row in queues.items() if "retry" in name}
        assert {name: ms for name, ms in delays.items() if FIRST_QUEUE in name} == {
            "retry.transcode.first.10s": 10_000,
            "retry.transcode.first.1m": 60_000,
            "retry.transcode.first.10m": 600_000,
        }
        assert await broker.depth("retry.transcode.first.10s") == 1
        assert await broker.depth("retry.transcode.first.10m") == 2
        assert await broker.retry_depth(FIRST_QUEUE) == 4

        async def came_back() -> int:
            return await broker.depth(FIRST_QUEUE)

        await eventually(came_back, deadline_s=40, what="the first retry is due")
        assert await broker.retry_depth(FIRST_QUEUE) == 3


async def test_a_job_that_fails_too_often_is_given_up(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.fail("piece-1", *[TransientJobError("no luck") for _ in range(3)])
    async with connected(vhost.url, instance="web-1") as broker:
        async with worker(vhost.url, shop, max_attempts=3):
            await publish(broker, BULK_QUEUE, "piece-1")
            await eventually(lambda: shop.buried, deadline_s=60, what="it was given up")
            await until_settled(vhost, BULK_QUEUE)

        assert await broker.depth(dead_queue(BULK_QUEUE)) == 1
    assert shop.buried == [("piece-1", "Given up after 3 attempts: no luck")]
    assert len(shop.started) == 3


async def test_a_job_that_no_retry_queue_takes_goes_behind_the_others_and_comes_to_an_end(
    vhost: VirtualHost,
) -> None:
    """RabbitMQ 3.10 may lose all retry queues of a node: each publish to them goes unanswered then."""
    shop, topology = Workshop(), Topology(retry_delays_s=(600,))
    shop.fail("sick", TransientJobError("no luck"), TransientJobError("no luck"))
    async with connected(vhost.url, instance="web-1", topology=topology, publish_timeout_s=3) as broker:
        await vhost.limit(topology.retry_queue(FIRST_QUEUE, failures=1), messages=0)

        async def refused() -> bool:
            try:
                await broker.publisher.retry(FIRST_QUEUE, job("filler"), failures=1)
            except UnavailableError:
                return True
            return False

        await eventually(refused, deadline_s=60, what="the retry queue takes nothing")
        await publish(broker, FIRST_QUEUE, "sick", "next")
        await publish(broker, BULK_QUEUE, "last")
        consumer = JobConsumer(broker, handle=shop.handle, on_dead=shop.on_dead, max_attempts=2)
        async with running(consumer):
            await eventually(lambda: len(shop.finished) == 2, deadline_s=60, what="the others are done")
        [letter] = await broker.dead_letters.list(FIRST_QUEUE)

    assert shop.begun == ["sick", "next", "sick", "last"]
    assert (letter.message_id, letter.error) == ("sick", "Given up after 2 attempts: no luck")


@pytest.mark.parametrize(
    "error",
    [PermanentJobError("This is not a video.", detail="moov atom not found"), UnsupportedMediaError("No.")],
    ids=["permanent", "not a video"],
)
async def test_a_hopeless_job_dies_at_once_and_the_ui_shows_why(vhost: VirtualHost, error: Exception) -> None:
    shop = Workshop()
    shop.fail("plan", error)
    async with connected(vhost.url, instance="web-1") as broker, worker(vhost.url, shop):
        await publish(broker, FIRST_QUEUE, "plan")
        await eventually(lambda: shop.buried, what="it was given up")
        await until_settled(vhost)

    assert shop.buried == [("plan", str(error))]
    [dead] = await vhost.messages(dead_queue(FIRST_QUEUE))
    assert dead["properties"]["message_id"] == "plan"
    assert dead["properties"]["headers"]["x-error"] == str(error)
    assert dead["properties"]["headers"]["x-attempt"] == 1
    assert dead["properties"]["headers"]["x-video-title"] == "My video"


async def test_a_surprise_keeps_its_traceback(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.fail("piece-1", ZeroDivisionError())
    async with connected(vhost.url, instance="web-1") as broker:
        async with worker(vhost.url, shop, max_attempts=1):
            await publish(broker, FIRST_QUEUE, "piece-1")
            await eventually(lambda: shop.buried, what="it was given up")
            await until_settled(vhost)
        [letter] = await broker.dead_letters.list(FIRST_QUEUE)

    assert letter.error == "Given up after 1 attempts: ZeroDivisionError"
    assert "in handle" in letter.detail


async def test_a_job_does_not_die_unheard(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.fail("plan", PermanentJobError("broken"), PermanentJobError("broken"))
    refusals = [UnavailableError("etcd is away")]
    heard: list[str] = []

    async def on_dead(_envelope: Envelope, why: Dead) -> None:
        if refusals:
            raise refusals.pop()
        heard.append(why.reason)

    async with (
        connected(vhost.url) as broker,
        running(JobConsumer(broker, handle=shop.handle, on_dead=on_dead)),
    ):
        await publish(broker, FIRST_QUEUE, "plan")
        await eventually(lambda: heard, what="the second try was heard")
        await eventually(lambda: broker.depth(dead_queue(FIRST_QUEUE)), deadline_s=60, what="it has died")
        await until_settled(vhost)
        assert await broker.depth(dead_queue(FIRST_QUEUE)) == 1

    assert [envelope.attempt for envelope in shop.started] == [1, 1]


async def test_work_that_somebody_else_has_done_is_settled(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.fail("piece-1", FencedError("done by another worker"))
    async with connected(vhost.url, instance="web-1") as broker, worker(vhost.url, shop):
        await publish(broker, FIRST_QUEUE, "piece-1")
        await eventually(lambda: shop.begun, what="it was taken")
        await until_settled(vhost)
        assert await broker.retry_depth(FIRST_QUEUE) == 0
        assert await broker.depth(dead_queue(FIRST_QUEUE)) == 0


async def test_a_cancelled_worker_hands_its_job_back_at_once(vhost: VirtualHost) -> None:
    shop, other = Workshop(), Workshop()
    shop.hold("piece-1")
    async with connected(vhost.url, instance="web-1") as broker:
        await publish(broker, FIRST_QUEUE, "piece-1")
        async with worker(vhost.url, shop) as task:
            await eventually(lambda: shop.begun, what="it was taken")
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            async with worker(vhost.url, other, instance="worker-2"):
                await eventually(lambda: other.finished, what="another worker did it")

    assert shop.cancelled == ["piece-1"]
    assert other.started[0].redelivered
    assert other.started[0].attempt == 1


async def test_a_stopping_worker_finishes_its_job_and_takes_no_other(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("piece-1")
    async with connected(vhost.url, instance="web-1") as broker:
        await publish(broker, FIRST_QUEUE, "piece-1", "piece-2")
        async with worker(vhost.url, shop):
            await eventually(lambda: shop.begun, what="it was taken")
            asyncio.get_running_loop().call_later(0.3, shop.release)

        assert await broker.depth(FIRST_QUEUE) == 1
    assert shop.finished == ["piece-1"]


async def test_a_worker_can_be_stopped_at_the_moment_its_job_ends(vhost: VirtualHost) -> None:
    """The client answers several requests then; none of them may swallow the end."""
    done = asyncio.Event()

    async def handle(_envelope: Envelope, _turn: Turn) -> None:
        done.set()

    async with connected(vhost.url) as broker:
        for number in range(30):
            done.clear()
            await publish(broker, FIRST_QUEUE, f"piece-{number}")
            async with running(JobConsumer(broker, handle=handle)) as task:
                await done.wait()
                if number % 2:
                    task.cancel()


async def test_an_idle_worker_stops_at_once(vhost: VirtualHost) -> None:
    shop = Workshop()
    async with worker(vhost.url, shop):
        await eventually(lambda: vhost.consumer_tags(FIRST_QUEUE), what="it waits for jobs")


async def test_consumers_are_not_trusted_for_ever(vhost: VirtualHost) -> None:
    shop = Workshop()
    async with connected(vhost.url, instance="web-1") as broker, worker(vhost.url, shop, patience_s=0.2):
        await eventually(lambda: vhost.consumer_tags(BULK_QUEUE), what="it waits for jobs")
        await publish(broker, BULK_QUEUE, *(f"piece-{number}" for number in range(30)))
        await eventually(lambda: len(shop.finished) == 30, what="all jobs are done")
        await until_settled(vhost, BULK_QUEUE)

    assert sorted(shop.finished) == sorted(f"piece-{number}" for number in range(30))


async def test_the_ui_shows_who_does_what(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("piece-3")
    async with (
        connected(vhost.url, instance="web-1") as broker,
        worker(vhost.url, shop, instance="worker-ab12"),
    ):

        async def shown(tag: str) -> bool:
            return await vhost.consumer_tags("worker.worker-ab12") == [tag]

        async def named() -> bool:
            return "transcoder worker-ab12" in await vhost.connections()

        await eventually(lambda: shown("worker-ab12: idle"), deadline_s=60, what="it is shown as idle")
        await eventually(named, deadline_s=60, what="its connection is listed")

        await publish(broker, FIRST_QUEUE, "piece-3")
        busy = 'worker-ab12: transcode.piece of "My video" (attempt 1)'
        await eventually(lambda: shown(busy), deadline_s=60, what="its job is shown")
        for queue in (FIRST_QUEUE, BULK_QUEUE):
            await eventually(partial(is_left_alone, vhost, queue), deadline_s=60, what="it awaits no other")

        shop.release()
        await eventually(lambda: shown("worker-ab12: idle"), deadline_s=60, what="it is idle again")


async def is_left_alone(vhost: VirtualHost, queue: str) -> bool:
    return not await vhost.consumer_tags(queue)


async def test_a_nasty_title_does_no_harm(vhost: VirtualHost) -> None:
    shop = Workshop()
    nasty = "\u202e\x00\n" + "🎬" * 3000
    async with connected(vhost.url, instance="web-1") as broker, worker(vhost.url, shop):
        await broker.publish_job(FIRST_QUEUE, job("piece-1", title=nasty))
        await eventually(lambda: shop.finished, what="it was done")

    assert shop.started[0].title.startswith("\u202e\x00\n🎬🎬")


async def test_a_busy_worker_hears_that_its_video_was_deleted(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.hold("piece-1")
    async with connected(vhost.url, instance="web-1") as broker, worker(vhost.url, shop):
        await publish(broker, FIRST_QUEUE, "piece-1")
        await eventually(lambda: vhost.consumer_tags("worker.worker-1"), what="it listens")
        await broker.publish_event("video.progress", job("noise"))
        await broker.publish_event("video.deleted", job("v1.deleted"))
        await broker.publish_event("video.cancelled", job("v2.cancelled"))
        await eventually(lambda: len(shop.controls) == 2, what="it heard")
        shop.release()

    assert [envelope.routing_key for envelope in shop.controls] == ["video.deleted", "video.cancelled"]
    assert shop.controls[0].correlation_id == "v1"


async def test_a_message_from_a_stranger_reaches_the_handler_readable(vhost: VirtualHost) -> None:
    shop = Workshop()
    async with worker(vhost.url, shop):
        await eventually(lambda: vhost.consumer_tags(FIRST_QUEUE), what="it waits for jobs")
        await vhost.publish(FIRST_QUEUE, body="?", headers={"x-attempt": "many", "x-video-title": 7})
        await eventually(lambda: shop.started, what="it was taken")

    [envelope] = shop.started
    assert (envelope.type, envelope.message_id, envelope.attempt, envelope.title) == ("", "", 1, "7")


async def test_every_message_is_told_from_its_duplicates_and_knows_which_deliveries_it_succeeds(
    vhost: VirtualHost,
) -> None:
    shop = Workshop()
    shop.hold("lost")
    shop.fail("failed", TransientJobError("not now"))
    async with connected(vhost.url, instance="web-1") as broker:
        await publish(broker, FIRST_QUEUE, "twice", "twice", "failed", "lost")
        async with worker(vhost.url, shop) as task:
            await eventually(lambda: shop.begun[-1:] == ["lost"], what="it has the last one")
            task.cancel()
        shop.release()
        async with worker(vhost.url, shop, instance="worker-2"):
            await eventually(
                lambda: {"lost", "failed"} <= {*shop.finished}, deadline_s=60, what="all are done"
            )
    taken = {name: [item for item in shop.started if item.message_id == name] for name in shop.begun}
    one, other = taken["twice"]
    assert one.delivery != other.delivery
    assert one.earlier == other.earlier == frozenset()
    for name in ("failed", "lost"):
        first, *again = taken[name]
        assert first.delivery in again[0].earlier
        assert len({item.delivery for item in taken[name]}) == len(taken[name])
        assert not {one.delivery, other.delivery} & again[0].earlier


async def test_a_job_that_nobody_can_try_is_asked_for_less_often_and_never_given_up(
    vhost: VirtualHost,
) -> None:
    patient = Topology(retry_delays_s=(0.2, 0.4, 600))
    shop, noted = Workshop(), list[str]()
    shop.fail("plan", *[OutOfSpaceError("no room")] * 6)

    async def note(envelope: Envelope) -> None:
        noted.append(envelope.message_id)

    async with (
        connected(vhost.url, topology=patient) as broker,
        running(JobConsumer(broker, handle=shop.handle, on_put_aside=note, max_attempts=2)),
    ):
        await publish(broker, FIRST_QUEUE, "plan")
        await eventually(lambda: shop.finished, deadline_s=60, what="it is done in the end")
        await until_settled(vhost)
    assert [envelope.deferrals for envelope in shop.started] == [0, 1, 2, 3, 4, 5, 6]
    assert {envelope.attempt for envelope in shop.started} == {1}
    assert noted == ["plan"] * 6


async def test_a_job_whose_wait_cannot_be_noted_waits_all_the_same(vhost: VirtualHost) -> None:
    shop = Workshop()
    shop.fail("plan", TransientJobError("no luck"))

    async def note(_envelope: Envelope) -> None:
        raise UnavailableError("etcd is away")

    async with (
        connected(vhost.url) as broker,
        running(JobConsumer(broker, handle=shop.handle, on_put_aside=note)),
    ):
        await publish(broker, FIRST_QUEUE, "plan")
        await eventually(lambda: shop.finished, deadline_s=60, what="it is done in the end")
