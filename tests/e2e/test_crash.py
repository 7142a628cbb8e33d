"""Kill -9 of any one process: the video ends ready, whole, and exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
import pytest_asyncio

from services.shared.catalog import VERIFY, WorkBook
from services.shared.etcd import EndpointStatus, EtcdClient
from tests.harness.media import decoded_frames
from tests.harness.playback import Representation, download, representations
from tests.harness.sources import Recipe, ffmpeg, x264
from tests.harness.stack import Stack, running_stack
from tests.harness.uploading import GatedUpload
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(600)

_READY_S = 300.0
_FILM = Recipe(
    name="film",
    size="640x360",
    rate="30",
    duration_s=32,
    sound="sine=440:beep_factor=4",
    video=x264("-g", "60"),
)


_ENV = {
    "TRITONTUBE_CACHE_BYTES": "0",
    "TRITONTUBE_SWEEP_INTERVAL_S": "1",
    "TRITONTUBE_UNSERVED_AFTER_S": "5",
}


@dataclass(frozen=True, kw_only=True)
class Film:
    """A source, and how many frames one ffmpeg process makes of it."""

    path: Path
    frames: int


@pytest.fixture(scope="module")
def film(source_folder: Path) -> Film:
    path = _FILM.make(source_folder)
    encoded = source_folder / "film.single-process.mp4"
    ffmpeg("-i", str(path), "-an", "-vf", "scale=426:240", *x264(), str(encoded))
    return Film(path=path, frames=decoded_frames(encoded))


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack as `make run` starts it; but every read goes to the ring, and lost jobs are soon noticed."""
    folder = tmp_path_factory.mktemp("crash") / "data"
    async with running_stack(folder, env=_ENV) as whole:
        yield whole


@asynccontextmanager
async def work_book(stack: Stack) -> AsyncIterator[WorkBook]:
    async with EtcdClient.connect([member.client for member in stack.endpoints.etcd]) as etcd:
        yield WorkBook(etcd)


async def busy_worker(stack: Stack, video_id: str) -> str:
    """The name of a worker that is in the middle of a piece of a video."""
    async with work_book(stack) as book:

        async def working() -> str | None:
            claimed = await book.claimed(video_id, 0)
            return next((worker for task, worker in claimed.items() if "-piece-" in task), None)

        return await eventually(working, deadline_s=120, what="a worker encodes a piece")


async def tracks_of(http: httpx.AsyncClient, video: dict[str, Any]) -> list[Representation]:
    url = str(http.base_url.join(video["links"]["manifest"]))
    answer = await http.get(url)
    answer.raise_for_status()
    return representations(answer.content, url)


async def assert_whole(stack: Stack, video: dict[str, Any], film: Film, folder: Path) -> None:
    """Every rendition plays from its first to its last frame, and each piece was done once."""
    ready = await stack.wait_status(video["id"], "ready", deadline_s=_READY_S)
    assert ready["frames"] == film.frames
    async with httpx.AsyncClient(base_url=stack.endpoints.web, trust_env=False, timeout=60) as http:
        tracks = await tracks_of(http, ready)
        assert len(tracks) == len(ready["renditions"]) + 1
        for track in tracks:
            assert track.duration_s == pytest.approx(film.frames / 30, abs=0.1)
            path = await download(http, track, folder / f"{track.id}.mp4")
            if track.mime_type.startswith("video"):
                assert await asyncio.to_thread(decoded_frames, path) == film.frames
    await assert_exactly_once(stack, video["id"], film)


async def assert_exactly_once(stack: Stack, video_id: str, film: Film) -> None:
    async with work_book(stack) as book:
        tasks = await book.tasks(video_id, 0)
        assert {*await book.claimed(video_id, 0)} <= {VERIFY}
    assert all(task.done for task in tasks)
    made: dict[str, int] = {}
    for task in tasks:
        for name in task.piece.renditions if task.piece else ():
            made[name] = made.get(name, 0) + (task.result.frames if task.result else 0)
    assert set(made.values()) == {film.frames}


async def test_a_worker_killed_in_the_middle_of_a_piece_is_replaced(stack: Stack, film: Film, tmp_path: Path):
    video = await stack.upload(film.path, title="worker killed")
    worker = await busy_worker(stack, video["id"])
    killed = stack.kill(worker)
    await assert_whole(stack, video, film, tmp_path)
    await stack.wait_restarted(worker, killed)


async def test_a_storage_node_killed_during_an_upload_costs_nothing(stack: Stack, film: Film, tmp_path: Path):
    upload = GatedUpload(stack.endpoints.web, film.path, title="storage killed during upload")
    await upload.start()
    name = await eventually(lambda: staging_node(stack), what="a storage node stages the upload")
    killed = stack.kill(name)
    video = await upload.finish()
    await assert_whole(stack, video, film, tmp_path)
    await stack.wait_restarted(name, killed)


def staging_node(stack: Stack) -> str | None:
    """A storage node that is receiving a file."""
    for number, node in enumerate(stack.endpoints.storage, start=1):
        if any((Path(node.data) / "tmp").iterdir()):
            return f"storage-{number}"
    return None


async def test_no_read_fails_while_each_storage_node_in_turn_is_killed(stack: Stack, film: Film):
    video = await stack.upload(film.path, title="storage killed during playback")
    ready = await stack.wait_status(video["id"], "ready", deadline_s=_READY_S)
    async with httpx.AsyncClient(base_url=stack.endpoints.web, trust_env=False, timeout=60) as http:
        tracks = await tracks_of(http, ready)
        addresses = [address for track in tracks for address in (track.init, *track.media)]
        watching = asyncio.create_task(watch(http, addresses))
        for number in range(1, len(stack.endpoints.storage) + 1):
            name = f"storage-{number}"
            await stack.wait_restarted(name, stack.kill(name))
        watching.cancel()
        statuses = await watching
    assert len(statuses) >= len(addresses)
    assert set(statuses) == {httpx.codes.OK}


async def watch(http: httpx.AsyncClient, addresses: list[str]) -> list[int]:
    """Fetch the addresses again and again until cancelled; the statuses of all answers."""
    statuses: list[int] = []
    try:
        while True:
            for address in addresses:
                answer = await http.get(address)
                statuses.append(answer.status_code)
    except asyncio.CancelledError:
        return statuses


async def test_killing_the_etcd_leader_again_and_again_stops_nobody(stack: Stack, film: Film, tmp_path: Path):
    upload = GatedUpload(stack.endpoints.web, film.path, title="etcd leader killed")
    await upload.start()
    await kill_etcd_leader(stack)
    video = await upload.finish()
    await busy_worker(stack, video["id"])
    await kill_etcd_leader(stack)
    await assert_whole(stack, video, film, tmp_path)


async def kill_etcd_leader(stack: Stack) -> None:
    """Kill the leader, and wait until it is back."""
    async with EtcdClient.connect([member.client for member in stack.endpoints.etcd]) as etcd:

        async def found() -> EndpointStatus | None:
            statuses = await etcd.status()
            return next((s for s in statuses if s.member_id and s.member_id == s.leader_id), None)

        leader = await eventually(found, deadline_s=60, what="etcd has a leader")
    name = next(member.name for member in stack.endpoints.etcd if member.client == leader.endpoint)
    await stack.wait_restarted(name, stack.kill(name))


async def test_rabbitmq_killed_while_jobs_run_loses_no_job(stack: Stack, film: Film, tmp_path: Path):
    video = await stack.upload(film.path, title="rabbitmq killed")
    await busy_worker(stack, video["id"])
    killed = stack.kill("rabbitmq")
    await stack.wait_restarted("rabbitmq", killed)
    await assert_whole(stack, video, film, tmp_path)


async def test_jobs_that_the_broker_lost_are_asked_for_again(stack: Stack, film: Film, tmp_path: Path):
    video = await stack.upload(film.path, title="jobs lost")
    await busy_worker(stack, video["id"])
    # Of the pieces, the first ones are begun before there are messages for the others.
    await eventually(lambda: purge(stack, "transcode.bulk"), deadline_s=120, what="there are jobs to lose")
    await assert_whole(stack, video, film, tmp_path)


async def purge(stack: Stack, queue: str) -> int:
    """Throw away what waits in a queue; how much that was."""
    broker = stack.endpoints.rabbitmq
    connection = await aio_pika.connect(broker.amqp)
    async with connection, connection.channel() as channel:
        purged = await (await channel.get_queue(queue)).purge()
    return int(purged.message_count or 0)


async def test_an_upload_that_was_answered_survives_the_web_process(stack: Stack, film: Film, tmp_path: Path):
    video = await stack.upload(film.path, title="web killed")
    killed = stack.kill("web-1")
    await stack.wait_restarted("web-1", killed)
    await assert_whole(stack, video, film, tmp_path)
