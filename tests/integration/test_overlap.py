"""What goes wrong while a worker has two jobs in hand: real processes, a real ring, and no web."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest
import pytest_asyncio

from services.shared.catalog import Starts, keys
from services.shared.dispatch import Dispatcher
from services.shared.filenames import PART_SUFFIX
from services.shared.messages import BULK_QUEUE
from services.shared.references import references
from services.shared.task import Task, TaskResult
from services.shared.video import Status, Verdict, Video
from tests.harness.children import children
from tests.harness.finished import Archive, archive
from tests.harness.moody_ffmpeg import MoodyFfmpeg
from tests.harness.rabbitmq import RabbitProcess, Row, VirtualHost, virtual_host
from tests.harness.sources import Recipe, x264
from tests.harness.storage import StorageCluster
from tests.harness.waiting import eventually, took_no_longer

_FILM = Recipe(name="seams", size="426x240", duration_s=44, video=x264("-g", "50"))
"""For three workers it is cut into a piece of 4 s and two of 20 s."""
_FRAMES, _DEADLY_FRAME = 1100, 600
_ATTEMPTS = 2
_STALL_S = 8
_STOPPED_WITHIN_S = 2.0
_OPTIONS = (
    *("--max-attempts", str(_ATTEMPTS), "--sandbox", "off"),
    *("--sweep-interval-s", "1", "--unserved-after-s", "30"),
)


@dataclass(frozen=True, kw_only=True)
class Seams:
    """An archive whose one worker can be held where it has two jobs in hand."""

    house: Archive
    vhost: VirtualHost
    ffmpeg: MoodyFfmpeg
    work: Path
    """The worker's folder of scratch files, and those of its namesakes."""

    @property
    def encoders(self) -> list[int]:
        """What the worker encodes with now."""
        return children("ffmpeg", self.house.worker.pid)

    async def caught(self, video: Video) -> set[str]:
        """Wait until both jobs in hand stand still; their names."""

        async def standing() -> set[str]:
            claimed = await self.claimed(video)
            return claimed if len(self.ffmpeg.halted(self.house.worker.pid)) == len(claimed) == 2 else set()

        return await eventually(standing, deadline_s=120, what="two jobs are in hand")

    async def claimed(self, video: Video) -> set[str]:
        """What is being done for a video."""
        return {*await self.house.book.claimed(video.id, 0)}

    async def tasks(self, video: Video) -> list[Task]:
        """All that there is to do for a video."""
        return await self.house.book.tasks(video.id, 0)

    async def results(self, video: Video) -> dict[str, TaskResult]:
        """What has been done, by task."""
        return {task.name: task.result for task in await self.tasks(video) if task.result}

    async def begun(self, video: Video) -> dict[str, int]:
        """How often a task was begun without being ended."""
        starts = await Starts(self.house.storage.client).of(video.id, 0)
        return {task: len(workers) for task, workers in starts.items()}

    async def no_message(self) -> bool:
        """Whether all queues are empty, and nobody has a message."""
        return not any(row.get("messages") for row in (await self.vhost.queues()).values())

    async def assert_whole(self, video: Video) -> None:
        """A video gets ready, is found sound, and has no file too many; nobody has anything left to do."""
        ready = await self.house.finished(video)
        assert ready.verdict is Verdict.SOUND
        tasks, results = await self.tasks(video), await self.results(video)
        for rendition in ready.renditions:
            made = [result.frames for result in results.values() if rendition.name in result.tracks]
            assert sum(made) == _FRAMES
        plan = await self.house.book.plan(video.id, 0)
        assert set(await self.house.files(video)) == references(ready, plan, tasks).needed
        await eventually(self.no_message, deadline_s=60, what="no message is left")

    async def assert_nothing_left(self, video: Video, *, parts: int) -> None:
        """Of a video that was given up there is nothing but `parts` parts of its original."""

        async def purged() -> bool:
            files = await self.house.files(video)
            return len(files) == parts and all(name.endswith(PART_SUFFIX) for name in files)

        await eventually(purged, deadline_s=60, what="the ring has forgotten it")
        await eventually(self.no_message, deadline_s=60, what="no message is left")
        etcd = self.house.storage.client
        for prefix in (keys.claims(video.id, 0), keys.starts(video.id, 0), f"tasks/{video.id}"):
            assert [kv.key async for kv in etcd.range(prefix)] == []
        assert {path.name for path in self.work.glob("*/*")} == {"lock"}


@pytest_asyncio.fixture(scope="module")
async def shared_seams(
    shared_storage: StorageCluster, rabbitmq: RabbitProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Seams]:
    """A ring, a broker and one worker; use it through `seams`."""
    await shared_storage.heal()
    folder = tmp_path_factory.mktemp("seams")
    ffmpeg = MoodyFfmpeg.made(folder / "tools")
    env = {"PATH": f"{ffmpeg.folder}:{os.environ['PATH']}"}
    async with (
        virtual_host(rabbitmq) as vhost,
        archive(shared_storage, vhost.url, folder, options=_OPTIONS, env=env) as house,
    ):
        yield Seams(house=house, vhost=vhost, ffmpeg=ffmpeg, work=folder / "work")


@pytest_asyncio.fixture
async def seams(shared_seams: Seams, storage: StorageCluster) -> AsyncIterator[Seams]:
    """Those, whole; work is divided among three workers, two of which have nothing to do with this broker."""
    absent = [f"{keys.WORKERS}absent-{number}" for number in range(2)]
    for key in absent:
        await storage.client.put(key, b"")
    shared_seams.house.worker.revive()
    yield shared_seams
    shared_seams.ffmpeg.behave()
    for key in absent:
        await storage.client.delete(key)


@pytest.fixture(scope="module")
def film(source_folder: Path) -> Path:
    return _FILM.make(source_folder)


async def test_both_jobs_of_a_worker_that_is_killed_are_done_by_the_next(seams: Seams, film: Path) -> None:
    seams.ffmpeg.halt(2)
    video = await seams.house.uploaded(film)
    both = await seams.caught(video)
    before = await seams.results(video)
    assert not both & before.keys()
    seams.house.worker.kill()
    seams.house.worker.start()
    await seams.assert_whole(video)
    after = await seams.results(video)
    assert {name: after[name] for name in before} == before, "what had been done is not done again"
    assert await seams.begun(video) == dict.fromkeys(both, 1), "one start against each, and no other in vain"


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
async def test_both_jobs_stop_when_their_video_is_given_up(seams: Seams, film: Path, how: str) -> None:
    catalog = seams.house.catalog
    seams.ffmpeg.halt(2)
    video = await seams.house.uploaded(film)
    await seams.caught(video)
    given_up = await (catalog.cancel if how == "cancelled" else catalog.delete)(video.id)
    await Dispatcher(seams.house.broker).news(given_up, what=how)
    since = monotonic()

    async def stopped() -> bool:
        return not seams.encoders and not await seams.claimed(video)

    await eventually(stopped, deadline_s=30, what="both have stopped")
    took_no_longer(monotonic() - since, _STOPPED_WITHIN_S, what="both jobs stop")
    await seams.assert_nothing_left(video, parts=1 if how == "cancelled" else 0)


async def test_an_encoder_that_stalls_after_its_turn_is_ended_and_harms_no_other(
    seams: Seams, film: Path
) -> None:
    worker = seams.house.worker
    worker.kill()
    worker.env = {**worker.env, "TRITONTUBE_STALL_TIMEOUT_S": str(_STALL_S)}
    worker.start()
    seams.ffmpeg.halt(1)
    video = await seams.house.uploaded(film)
    at_once: list[int] = []

    async def ready() -> bool:
        at_once.append(len(seams.encoders))
        return (await seams.house.catalog.get(video.id)).status is Status.READY

    await eventually(ready, deadline_s=180, what="the video is ready")
    assert max(at_once) == 2, "others went on beside the one that stood still, one at a time"
    await seams.assert_whole(video)
    assert await seams.begun(video) == {}, "every start came to an end"
    [failure] = [line for line in worker.log.read_text().splitlines() if f"{video.id}.0." in line]
    assert f"attempt 1 failed: ffmpeg gave no sign of life for {_STALL_S} s and was stopped." in failure


async def test_a_job_that_ends_its_workers_has_a_neighbour_once_at_most(seams: Seams, film: Path) -> None:
    """Otherwise all its starts would count against the neighbour, too, which would be given up with it."""
    seams.ffmpeg.halt(1)
    seams.ffmpeg.get_stuck(at_frame=_DEADLY_FRAME)
    video = await seams.house.uploaded(film)
    both = await seams.caught(video)
    [deadly] = [task.name for task in await seams.tasks(video) if begins(task, _DEADLY_FRAME)]
    assert deadly in both

    async def killed_until_given_up() -> bool:
        if deadly in await seams.claimed(video) and seams.ffmpeg.halted(seams.house.worker.pid):
            seams.house.worker.kill()
            seams.house.worker.start()
        return (await seams.house.catalog.get(video.id)).status is Status.FAILED

    await eventually(killed_until_given_up, deadline_s=180, what="the job is given up")
    assert await seams.begun(video) == dict.fromkeys(both, 1) | {deadly: _ATTEMPTS}
    [letter] = await dead_letters(seams)
    assert letter["properties"]["message_id"] == f"{video.id}.0.{deadly}"


def begins(task: Task, frame: int) -> bool:
    return task.piece is not None and task.piece.first_frame == frame


async def dead_letters(seams: Seams) -> list[Row]:
    return await eventually(
        lambda: seams.vhost.messages(f"dead.{BULK_QUEUE}"), deadline_s=60, what="there is a dead letter"
    )
