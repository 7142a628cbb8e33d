"""What operators do about jobs that were given up, on a real RabbitMQ and etcd, with the real command."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest_asyncio

from services.admin.jobs.desk import JobDesk
from services.admin.jobs.servicer import jobs_service
from services.shared.broker import Broker, Envelope
from services.shared.catalog import keys
from services.shared.etcd import EtcdClient
from services.shared.messages import BULK_QUEUE, PlanJob
from services.shared.rpc_server import serving
from services.shared.video import Omission, Status, Video
from tests.harness.admin_cli import Outcome, cli
from tests.harness.rabbitmq import VirtualHost
from tests.harness.videos import video_record
from tests.harness.workshop import connected, job

FAILED = {"status": Status.FAILED, "reason": "It went wrong."}
MORE_THAN_WERE_ONCE_LOOKED_AT = 1_100
BEFORE_THIS = "a letter that nobody meant"


@pytest_asyncio.fixture
async def broker(vhost: VirtualHost) -> AsyncIterator[Broker]:
    async with connected(vhost.url, instance="admin") as broker:
        yield broker


@pytest_asyncio.fixture
async def server(etcd_client: EtcdClient, broker: Broker) -> AsyncIterator[str]:
    async with serving("127.0.0.1:0", jobs_service(JobDesk(etcd_client, broker))) as running:
        yield running.address


async def recorded(etcd: EtcdClient, **changes: Any) -> Video:
    video = video_record(**(FAILED | changes))
    await etcd.put(keys.video(video.id), video.encode())
    return video


def letter_about(video: Video, name: str, *, generation: int = 0) -> Envelope:
    body = PlanJob(video_id=video.id, generation=generation).encode()
    return replace(job(name, video=video.id), body=body, attempt=5, error=f"{name} is broken")


async def bury(broker: Broker, *letters: Envelope) -> None:
    for letter in letters:
        await broker.publisher.dead(BULK_QUEUE, letter)


async def jobs(server: str, *words: str) -> Outcome:
    return await cli("jobs", *words, "--server", server)


async def dead_ids(server: str, *words: str) -> list[str]:
    outcome = await jobs(server, "dead", *words, "--json")
    return [letter["id"] for letter in json.loads(outcome.out)["dead"]]


async def test_the_limit_is_one_of_those_that_are_looked_for(etcd_client, broker, server):
    first, last = [await recorded(etcd_client) for _ in range(2)]
    await bury(broker, letter_about(first, "a"), letter_about(first, "b"), letter_about(last, "c"))
    assert await dead_ids(server, "--limit", "1") == ["a"]
    assert await dead_ids(server, "--limit", "1", "--video", last.id) == ["c"]
    assert await dead_ids(server, "--limit", "1", "--id", "b") == ["b"]


async def test_the_youngest_of_very_many_is_found(etcd_client, broker, server):
    for number in range(MORE_THAN_WERE_ONCE_LOOKED_AT):
        await bury(broker, job(f"{BEFORE_THIS} {number}", video="another"))
    one, other = [await recorded(etcd_client) for _ in range(2)]
    await bury(broker, letter_about(one, "one"), letter_about(other, "other"))
    assert await dead_ids(server, "--video", one.id) == ["one"]
    assert "starts over" in (await jobs(server, "requeue", "--video", one.id)).out
    assert await jobs(server, "discard", "--video", other.id) == (0, "1 thrown away\n", "")
    assert await jobs(server, "discard", "--all") == (0, f"{MORE_THAN_WERE_ONCE_LOOKED_AT} thrown away\n", "")


async def test_each_video_is_told_with_what_became_of_it_and_why(etcd_client, broker, server):
    track = Omission(rendition="480p", title="480p", reason="It broke.")
    videos = {
        "restarted: It starts over.": await recorded(etcd_client),
        "It has failed for good: its file is no video": await recorded(etcd_client, refused=True),
        "It was started over since.": await recorded(etcd_client, generation=1),
        "It is processing: nothing": await recorded(etcd_client, status=Status.PROCESSING),
        "--rendition 480p": await recorded(etcd_client, status=Status.READY, omitted=(track,)),
        "dropped: It was deleted.": video_record(),
    }
    await bury(broker, *(letter_about(video, video.id) for video in videos.values()), job("gibberish"))
    outcome = await jobs(server, "requeue", "--all")
    assert (outcome.code, outcome.err) == (0, "")
    lines = dict(line.split("\t") for line in outcome.out.splitlines())
    assert all(sentence in lines[video.id] for sentence, video in videos.items()), lines
    assert lines["gibberish"] == "dropped: Nobody can read this message."
    assert await dead_ids(server) == []
    assert await jobs(server, "requeue", "--all") == (0, "No job was given up.\n", "")


async def test_what_is_not_there_is_one_sentence_and_exit_code_one(etcd_client, broker, server):
    await bury(broker, letter_about(await recorded(etcd_client), "a"))
    for command in ("requeue", "discard"):
        for option, what in (("--id", "id"), ("--video", "video")):
            outcome = await jobs(server, command, option, "nope")
            sentence = f"There is no job of {what} nope that was given up."
            assert outcome == (1, "", f"tritontube-admin: {sentence}\n")
    assert await dead_ids(server) == ["a"]
