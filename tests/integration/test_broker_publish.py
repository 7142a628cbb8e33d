"""Publishing to a real RabbitMQ: what it promises, and for how long it tries."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from services.shared.broker import Envelope, UnroutableError
from services.shared.errors import ConflictError, InvalidRequestError, TooLargeError, UnavailableError
from services.shared.messages import BULK_QUEUE, FIRST_QUEUE
from tests.harness.rabbitmq import VirtualHost
from tests.harness.waiting import took_no_longer
from tests.harness.workshop import SOON, connected, job


async def test_a_confirmed_job_waits_in_its_queue(vhost: VirtualHost) -> None:
    async with connected(vhost.url) as broker:
        await broker.publish_job(FIRST_QUEUE, job("piece-1"))

        assert await broker.depth(FIRST_QUEUE) == 1
        assert await broker.depth(BULK_QUEUE) == 0


async def test_the_ui_shows_what_a_job_is_and_for_which_video(vhost: VirtualHost) -> None:
    async with connected(vhost.url) as broker:
        await broker.publish_job(BULK_QUEUE, job("piece-3", title="Łódź at night", video="v42"))

    [message] = await vhost.messages(BULK_QUEUE)
    properties = message["properties"]
    assert properties["type"] == "transcode.piece"
    assert properties["message_id"] == "piece-3"
    assert properties["correlation_id"] == "v42"
    assert properties["app_id"] == "transcoder"
    assert properties["delivery_mode"] == 2
    assert properties["timestamp"] > 1_600_000_000
    assert properties["headers"]["x-attempt"] == 1
    assert properties["headers"]["x-video-title"] == "Łódź at night"


async def test_a_job_for_a_queue_that_is_none_is_refused(vhost: VirtualHost) -> None:
    async with connected(vhost.url) as broker:
        with pytest.raises(UnroutableError, match=r"transcode\.frist"):
            await broker.publish_job("transcode.frist", job("piece-1"))

    assert "transcode.frist" not in await vhost.queues()


async def test_an_event_that_nobody_hears_is_published_all_the_same(vhost: VirtualHost) -> None:
    async with connected(vhost.url) as broker:
        await broker.publish_event("video.status", job("news"))


async def test_a_handoff_queue_exists_from_its_first_message_on(vhost: VirtualHost) -> None:
    queue = "storage.handoff.node-7"
    async with connected(vhost.url) as broker:
        assert await broker.depth(queue) == 0
        await broker.publish_job(queue, job("handoff"))

        assert await broker.depth(queue) == 1


async def test_a_queue_that_was_deleted_is_declared_again(vhost: VirtualHost) -> None:
    async with connected(vhost.url) as broker:
        await broker.publish_job(FIRST_QUEUE, job("lost"))
        await vhost.delete_queue(FIRST_QUEUE)

        await broker.publish_job(FIRST_QUEUE, job("kept"))

        assert [row["properties"]["message_id"] for row in await vhost.messages(FIRST_QUEUE)] == ["kept"]


async def test_many_publishes_at_once_are_all_confirmed(vhost: VirtualHost) -> None:
    async with connected(vhost.url, publish_timeout_s=60) as broker, asyncio.TaskGroup() as group:
        for number in range(500):
            group.create_task(broker.publish_job(BULK_QUEUE, job(f"piece-{number}")))

    async with connected(vhost.url) as broker:
        assert await broker.depth(BULK_QUEUE) == 500


async def test_services_that_start_together_declare_the_same(vhost: VirtualHost) -> None:
    async def start(number: int) -> None:
        async with connected(vhost.url, instance=f"worker-{number}"):
            pass

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(start(number))

    queues = await vhost.queues()
    expected = {queue.name for name in (FIRST_QUEUE, BULK_QUEUE) for queue in SOON.family(name)}
    assert set(queues) == expected
    assert {row["type"] for row in queues.values()} == {"quorum"}
    assert all(row["durable"] and "x-delivery-limit" in row["arguments"] for row in queues.values())
    exchanges = await vhost.exchanges()
    assert {name for name in exchanges if name.startswith("tritontube.")} == {
        "tritontube.jobs",
        "tritontube.events",
        "tritontube.retry",
        "tritontube.dead",
    }


async def test_a_queue_with_other_properties_is_reported_at_start(vhost: VirtualHost) -> None:
    await vhost.declare_queue(FIRST_QUEUE, durable=True)

    with pytest.raises(ConflictError, match=r"transcode\.first.*delete it"):
        async with connected(vhost.url):
            pass


async def test_without_a_broker_the_start_fails_in_time_and_says_so() -> None:
    begun = monotonic()

    with pytest.raises(UnavailableError, match="Connecting to RabbitMQ"):
        async with connected("amqp://127.0.0.1:1/", connect_timeout_s=2):
            pass

    took_no_longer(monotonic() - begun, 15, what="the failure")


async def test_a_wrong_password_is_named_but_not_shown(vhost: VirtualHost) -> None:
    url = vhost.url.replace(":secret@", ":hunter2@")

    with pytest.raises(UnavailableError) as refused:
        async with connected(url, connect_timeout_s=1):
            pass

    assert "ACCESS_REFUSED" in str(refused.value)
    assert "hunter2" not in str(refused.value)


async def test_publishing_fails_in_time_while_the_broker_is_down(vhost: VirtualHost) -> None:
    async with connected(vhost.url, publish_timeout_s=2) as broker:
        vhost.rabbit.kill()
        begun = monotonic()

        with pytest.raises(UnavailableError):
            await broker.publish_job(FIRST_QUEUE, job("piece-1"))

        took_no_longer(monotonic() - begun, 15, what="the failure")
        assert not broker.is_connected


async def test_publishing_fails_in_time_while_the_broker_is_silent(vhost: VirtualHost) -> None:
    async with connected(vhost.url, publish_timeout_s=2) as broker:
        vhost.rabbit.freeze()
        begun = monotonic()

        with pytest.raises(UnavailableError, match="no answer from the broker in time"):
            await broker.publish_job(FIRST_QUEUE, job("piece-1"))

        took_no_longer(monotonic() - begun, 15, what="the failure")
        vhost.rabbit.thaw()


async def test_publishing_goes_on_after_the_broker_was_killed(vhost: VirtualHost) -> None:
    async with connected(vhost.url, publish_timeout_s=120) as broker:
        await broker.publish_job(FIRST_QUEUE, job("before"))
        vhost.rabbit.kill()
        async with asyncio.TaskGroup() as group:
            group.create_task(broker.publish_job(FIRST_QUEUE, job("meanwhile")))
            await vhost.rabbit.start()
        await broker.publish_job(FIRST_QUEUE, job("after"))

        waiting = [row["properties"]["message_id"] for row in await vhost.messages(FIRST_QUEUE)]
        assert waiting == ["before", "meanwhile", "after"]
        assert broker.is_connected


async def test_publishing_goes_on_after_its_connection_was_cut(vhost: VirtualHost) -> None:
    async with connected(vhost.url, instance="worker-9") as broker:
        await vhost.cut("transcoder worker-9 publishing")

        await broker.publish_job(FIRST_QUEUE, job("piece-1"))

        assert await broker.depth(FIRST_QUEUE) == 1


@pytest.mark.parametrize(
    ("envelope", "refusal"),
    [
        (Envelope(type="t", message_id="", body=b""), InvalidRequestError),
        (Envelope(type="t", message_id="x" * 256, body=b""), InvalidRequestError),
        (Envelope(type="t", message_id="x", body=bytes(1 << 21)), TooLargeError),
    ],
    ids=["no id", "an id that is too long", "data instead of a reference"],
)
async def test_what_cannot_travel_is_refused_at_once(
    vhost: VirtualHost, envelope: Envelope, refusal: type[Exception]
) -> None:
    async with connected(vhost.url) as broker:
        with pytest.raises(refusal):
            await broker.publish_job(FIRST_QUEUE, envelope)
