"""What killed attempts and earlier generations left goes after a grace; what is referred to never does."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest
import pytest_asyncio

from services.admin.files.orphans import Orphans
from services.shared.captions import Caption, Captioning
from services.shared.catalog import keys
from services.shared.content import ContentStore
from services.shared.plan import Plan
from services.shared.references import references
from services.shared.ring.state import Phase
from services.shared.task import Task
from services.shared.video import Status, Video, new_video_id
from tests.harness.etcd import etcd_members
from tests.harness.ring import publish
from tests.harness.storage import StorageCluster, storage_cluster
from tests.harness.videos import done, plan_record, task_records, video_record
from tests.harness.waiting import eventually

LAZY = ("--repair-interval-s", "100000", "--scrub-pause-s", "100000")


@pytest_asyncio.fixture(scope="module")
async def own_storage(tmp_path_factory) -> AsyncIterator[StorageCluster]:
    """A ring, and a catalogue, for these tests alone."""
    folder = tmp_path_factory.mktemp("orphans")
    async with (
        etcd_members(folder / "etcd", count=1) as etcd,
        storage_cluster(folder, etcd, options=LAZY) as cluster,
    ):
        yield cluster


@pytest_asyncio.fixture
async def storage(own_storage: StorageCluster) -> AsyncIterator[StorageCluster]:
    await own_storage.heal()
    await own_storage.client.delete_prefix(keys.VIDEOS)
    yield own_storage
    await own_storage.heal()


@pytest_asyncio.fixture
async def content(storage: StorageCluster) -> AsyncIterator[ContentStore]:
    async with storage.content() as client:
        yield client


def orphans(storage: StorageCluster, *, grace_s: float = 0, videos: int = 50) -> Orphans:
    return Orphans(storage.client, storage.topology, grace_s=grace_s, videos=videos)


async def record(storage: StorageCluster, video: Video, plan: Plan | None, tasks: Sequence[Task]) -> None:
    await storage.client.put(keys.video(video.id), video.encode())
    if plan:
        await storage.client.put(keys.plan(video.id, plan.generation), plan.encode())
    for task in tasks:
        await storage.client.put(keys.task(video.id, video.generation, task.name), task.encode())


async def store(storage: StorageCluster, content: ContentStore, video_id: str, names: Iterable[str]) -> None:
    """Put files, and wait until all their owners have them."""
    stored = [f"{video_id}/{name}" for name in names]
    for key in stored:
        await content.put(key, os.urandom(500))

    async def all_there() -> bool:
        return all([await owner.has(key) for key in stored for owner in storage.owners(key)])

    await eventually(all_there, deadline_s=60, what="all copies are there")


async def held(storage: StorageCluster, video_id: str) -> set[str]:
    """File names of a video that any node holds."""
    found = [await node.keys(video_id) for node in storage.nodes]
    return {key.partition("/")[2] for names in found for key in names}


async def ready(storage: StorageCluster, content: ContentStore, *, generation: int) -> tuple[Video, set[str]]:
    """A finished video with its files; and their names."""
    video = video_record(status=Status.READY, generation=generation)
    plan, tasks = plan_record(generation), [done(task) for task in task_records()]
    await record(storage, video, plan, tasks)
    needed = set(references(video, plan, tasks).needed)
    await store(storage, content, video.id, needed)
    return video, needed


async def test_an_earlier_generation_goes_and_the_present_one_stays(storage, content):
    video, needed = await ready(storage, content, generation=1)
    left = {"480p-g0-00000.m4s", "480p-g0-init.mp4", "a0-g0-00003.m4s", "remuxed-g0-00000.part"}
    await store(storage, content, video.id, left)
    assert await orphans(storage).round() == 2 * len(left)
    assert await held(storage, video.id) == needed


async def test_what_is_there_of_a_rendition_that_may_come_back_stays(storage, content):
    video, plan = video_record(status=Status.READY), plan_record()
    left = {"480p-g0-init.mp4", "480p-g0-00000.m4s", "480p-g0-00001.m4s"}
    smaller = plan.without("480p")
    tasks = [done(task) for task in task_records()]
    await record(storage, video, smaller, tasks)
    needed = set(references(video, smaller, tasks).needed)
    await store(storage, content, video.id, needed | left)
    assert await orphans(storage).round() == 0
    assert await held(storage, video.id) == needed | left


async def test_captions_that_were_replaced_go_and_all_else_stays(storage, content):
    caption = Caption(
        name="de", language="de", title="", track="captions2-0a", file="captions2-0a.vtt", size_bytes=7
    )
    video = video_record(status=Status.READY, captions=Captioning(offered=(caption,), edition=2))
    plan, tasks = plan_record(), [done(task) for task in task_records()]
    await record(storage, video, plan, tasks)
    stays = {*references(video, plan, tasks).needed, "captions3-0a.vtt"}
    await store(storage, content, video.id, stays | {"captions1-0a.vtt"})
    await orphans(storage).round()
    assert await held(storage, video.id) == stays


async def test_nothing_goes_before_its_grace_is_over(storage, content):
    video, needed = await ready(storage, content, generation=1)
    await store(storage, content, video.id, {"480p-g0-00000.m4s"})
    assert await orphans(storage, grace_s=3600).round() == 0
    assert await held(storage, video.id) == needed | {"480p-g0-00000.m4s"}


async def test_a_refused_upload_keeps_nothing(storage, content):
    video = video_record(status=Status.FAILED, refused=True)
    await record(storage, video, None, ())
    await store(storage, content, video.id, {"source-00000.part", "source-00001.part"})
    await orphans(storage).round()
    assert await held(storage, video.id) == set()


@pytest.mark.parametrize("status", [Status.UPLOADED, Status.PROCESSING, Status.PLAYABLE])
async def test_a_video_that_is_worked_for_is_left_alone(storage, content, status):
    video = video_record(status=status, generation=1)
    await record(storage, video, plan_record(1), task_records())
    names = {"480p-g0-00000.m4s", "480p-g1-00000.m4s", "source-00000.part"}
    await store(storage, content, video.id, names)
    assert await orphans(storage).round() == 0
    assert await held(storage, video.id) == names


async def test_files_of_a_video_that_is_not_in_the_catalogue_stay(storage, content):
    video_id = new_video_id()
    await store(storage, content, video_id, {"source-00000.part"})
    assert await orphans(storage).round() == 0
    assert await held(storage, video_id) == {"source-00000.part"}


async def test_nothing_goes_while_files_are_on_the_move(storage, content):
    video, _ = await ready(storage, content, generation=1)
    await store(storage, content, video.id, {"480p-g0-00000.m4s"})
    stable = (await storage.topology.refresh()).state
    moving = {"phase": Phase.MIGRATING, "next": stable.cur, "epoch": stable.epoch + 1}
    await publish(storage.client, stable.model_copy(update=moving))
    try:
        assert await orphans(storage).round() == 0
        assert "480p-g0-00000.m4s" in await held(storage, video.id)
    finally:
        await publish(storage.client, stable.model_copy(update={"epoch": stable.epoch + 2}))
        await storage.topology.wait_for_epoch(stable.epoch + 2)


async def test_a_node_that_is_away_keeps_its_orphans_until_a_later_round(storage, content):
    video, needed = await ready(storage, content, generation=1)
    key = f"{video.id}/480p-g0-00000.m4s"
    await store(storage, content, video.id, {"480p-g0-00000.m4s"})
    absent = storage.owners(key)[0]
    absent.server.kill()
    assert await orphans(storage).round() == 1
    absent.server.start()
    await absent.writable()
    await eventually(lambda: absent.id in storage.topology.view.up, deadline_s=60, what="it is back")

    async def gone() -> bool:
        await orphans(storage).round()
        return await held(storage, video.id) == needed

    await eventually(gone, deadline_s=60, what="the orphan is gone everywhere")


async def test_rounds_are_bounded_and_go_through_everything_in_turn(storage, content):
    videos = [await ready(storage, content, generation=1) for _ in range(3)]
    for video, _ in videos:
        await store(storage, content, video.id, {"a0-g0-00000.m4s"})
    collector = orphans(storage, videos=2)
    assert await collector.round() == 4
    assert await collector.round() == 2
    for video, needed in videos:
        assert await held(storage, video.id) == needed
    assert await collector.round() == 0


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_in_the_catalogue_what_is_referred_to_stays(storage, content, seed):
    chance = random.Random(seed)
    expected: dict[str, set[str]] = {}
    for _ in range(8):
        video, plan, tasks = random_video(chance)
        needed = set(references(video, plan, tasks).needed)
        everything = {name for generation in range(3) for name in names_of(generation)}
        await record(storage, video, plan, tasks)
        await store(storage, content, video.id, needed | set(chance.sample(sorted(everything), 5)))
        expected[video.id] = needed
    collector = orphans(storage, videos=3)
    for _ in range(4):
        await collector.round()
    for video_id, needed in expected.items():
        assert needed <= await held(storage, video_id)


def random_video(chance: random.Random) -> tuple[Video, Plan | None, list[Task]]:
    """Records as some moment of some video's life has them."""
    status, generation = chance.choice([*Status]), chance.randrange(3)
    if status in {Status.UPLOADING, Status.DELETED}:
        status = Status.FAILED
    video = video_record(status=status, generation=generation, poster=chance.random() < 0.5)
    if status is Status.UPLOADED or (status is Status.FAILED and chance.random() < 0.5):
        return video, None, []
    finished = status is Status.READY
    tasks = [done(task) if finished or chance.random() < 0.5 else task for task in task_records()]
    return video, plan_record(generation, remuxed_parts=chance.randrange(2)), tasks


def names_of(generation: int) -> set[str]:
    video = video_record(status=Status.READY, generation=generation, poster=True)
    tasks = [done(task) for task in task_records()]
    return set(references(video, plan_record(generation, remuxed_parts=1), tasks).needed)
