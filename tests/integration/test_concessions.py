"""What a video goes on without when a job for it was given up, on a real etcd, broker and ring."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from services.shared.broker import Broker
from services.shared.catalog import Catalog, Restorations, WorkBook, keys
from services.shared.dispatch import Dispatcher
from services.shared.etcd import EtcdClient
from services.shared.filenames import segment_file
from services.shared.messages import TaskJob
from services.shared.plan import Plan
from services.shared.task import Task, TaskKind
from services.shared.tracks import AudioTrack
from services.shared.video import Status, Video
from services.transcoder.concession import Concessions
from services.transcoder.progress import Progress
from tests.harness.rabbitmq import VirtualHost
from tests.harness.storage import StorageCluster
from tests.harness.videos import SOUND, done, plan_record, task_records, video_record
from tests.harness.waiting import eventually

GERMAN = AudioTrack(index=1, language="de", title="Deutsch", duration_samples=SOUND.duration_samples)
GERMAN_TASKS = [
    Task(name="audio-a1-leading", kind=TaskKind.AUDIO, audio=GERMAN, leading=2),
    Task(name="audio-a1", kind=TaskKind.AUDIO, audio=GERMAN),
]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A video in the making, and who decides what it can do without."""

    video: Video
    catalog: Catalog
    book: WorkBook
    concessions: Concessions
    progress: Progress
    etcd: EtcdClient

    async def give_up(self, task: str, reason: str = "It is broken.") -> bool:
        """Whether the video goes on without a task."""
        job = TaskJob(video_id=self.video.id, generation=0, task=task)
        return await self.concessions.concede(job, reason)

    async def plan(self) -> Plan:
        plan = await self.book.plan(self.video.id, 0)
        assert plan is not None
        return plan


@pytest_asyncio.fixture
async def desk(storage: StorageCluster, content, vhost: VirtualHost) -> AsyncIterator[Desk]:
    etcd, video = storage.client, video_record(status=Status.PROCESSING)
    plan = plan_record().model_copy(update={"audio": (SOUND, GERMAN)})
    await etcd.put(keys.video(video.id), video.encode())
    await etcd.put(keys.plan(video.id, 0), plan.encode())
    for task in (*task_records(), *GERMAN_TASKS):
        await etcd.put(keys.task(video.id, 0, task.name), task.encode())
    async with Broker.connect(vhost.url, app_id="transcoder", instance="worker-1") as broker:
        catalog, book, dispatcher = Catalog(etcd), WorkBook(etcd), Dispatcher(broker)
        progress = Progress(catalog=catalog, book=book, content=content, dispatcher=dispatcher, verify=False)
        concessions = Concessions(
            catalog=catalog,
            book=book,
            restorations=Restorations(etcd),
            dispatcher=dispatcher,
            progress=progress,
        )
        yield Desk(
            video=video,
            catalog=catalog,
            book=book,
            concessions=concessions,
            progress=progress,
            etcd=etcd,
        )


@pytest.mark.parametrize("first", [task.name for task in GERMAN_TASKS])
async def test_one_of_several_sound_tracks_is_left_out_once_with_all_that_is_done_for_it(
    desk: Desk, first: str
):
    others = [task.name for task in GERMAN_TASKS if task.name != first]
    assert await desk.give_up(first)
    assert (await desk.plan()).audio == (SOUND,)
    assert [await desk.give_up(name) for name in others] == [True]
    [omission] = (await desk.catalog.get(desk.video.id)).omitted
    assert (omission.rendition, omission.title) == ("a1", "The sound track Deutsch")
    assert all(task.done for task in await desk.book.tasks(desk.video.id, 0) if task.audio == GERMAN)


async def test_what_was_made_of_a_track_is_cleared_away_when_the_video_is_ready_without_it(
    desk: Desk, storage: StorageCluster, content
):
    await content.put(f"{desk.video.id}/{segment_file('a1', 0, 0)}", b"some of it")
    assert [await desk.give_up(task.name) for task in GERMAN_TASKS] == [True, True]
    for task in task_records():
        await desk.etcd.put(keys.task(desk.video.id, 0, task.name), done(task).encode())
    ready = await desk.progress.advance(desk.video.id, 0)
    assert (ready.status, ready.audio) == (Status.READY, (SOUND,))

    async def gone() -> bool:
        held = [await node.keys(desk.video.id) for node in storage.nodes]
        return not any("/a1-g0" in key for key in set().union(*held))

    await eventually(gone, what="nothing is left of it")


async def test_without_its_last_sound_track_there_is_no_video(desk: Desk):
    assert await desk.give_up(GERMAN_TASKS[0].name)
    assert not await desk.give_up("audio-a0")
    assert (await desk.plan()).audio == (SOUND,)


async def test_a_piece_is_tried_rendition_by_rendition_before_one_is_left_out(desk: Desk):
    assert await desk.give_up("piece-0")
    assert (await desk.catalog.get(desk.video.id)).omitted == ()
    assert await desk.give_up("piece-0-only-480p")
    assert [rung.name for rung in (await desk.plan()).renditions] == ["240p"]
    assert not await desk.give_up("piece-0-only-240p")
