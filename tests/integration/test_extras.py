"""What a video is ready without: a worker makes it, makes it again if it was lost, or leaves it out."""

from __future__ import annotations

import pytest
import pytest_asyncio

from services.admin.jobs.desk import JobDesk
from services.shared.catalog import keys
from services.shared.filenames import segment_file
from services.shared.references import references
from services.shared.storyboard import sheet_file, storyboard_files
from services.shared.task import Task, TaskKind
from services.shared.video import Status, Video
from tests.harness.finished import Archive
from tests.harness.sources import Recipe, x264
from tests.harness.subtitled import Words, subtitled
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_FILM = Recipe(name="with extras", suffix="mkv", size="160x90", duration_s=10, video=x264("-g", "50"))
_WORDS = Words(language="eng", sentences={1: "Hello"})


@pytest_asyncio.fixture(scope="module")
async def original(shared_house: Archive, source_folder) -> Video:
    """A finished video; do nothing to it."""
    video = await shared_house.made_from(subtitled(_FILM.make(source_folder), [_WORDS]))

    async def complete() -> Video | None:
        now = await shared_house.catalog.get(video.id)
        return None if now.extras_due else now

    return await eventually(complete, deadline_s=60, what="nothing is left to be made")


@pytest_asyncio.fixture
async def video(house: Archive, original: Video) -> Video:
    """A finished video; break it."""
    return await house.copy_of(original)


async def forgotten(house: Archive, video: Video, kind: TaskKind) -> None:
    """Put the records back to where an extra is still to be made, and no message asks for it."""
    changes = {"extras_due": True, "storyboard": None}
    await house.catalog.change(video.id, lambda now: now.model_copy(update=changes))
    task = await task_of(house, video, kind)
    undone = task.model_copy(update={"result": None, "published_at_ms": 1})
    await house.storage.client.put(keys.task(video.id, 0, task.name), undone.encode())


async def task_of(house: Archive, video: Video, kind: TaskKind) -> Task:
    return next(task for task in await house.book.tasks(video.id, 0) if task.kind is kind)


async def settled(house: Archive, video: Video) -> Video:
    """The record once nothing is left to be made."""

    async def complete() -> Video | None:
        now = await house.catalog.get(video.id)
        return None if now.extras_due else now

    return await eventually(complete, deadline_s=60, what="nothing is left to be made")


async def test_a_finished_video_has_all_its_extras_and_no_file_too_many(house: Archive, original: Video):
    assert original.poster
    assert original.storyboard
    assert original.storyboard.pictures == 3
    (caption,) = original.captions.offered
    assert (caption.name, caption.title, caption.given) == ("en", "English", False)
    files = set(await house.files(original))
    assert {*storyboard_files(original.storyboard, 0), caption.file} < files
    plan, tasks = await house.book.plan(original.id, 0), await house.book.tasks(original.id, 0)
    assert references(original, plan, tasks).needed == files
    assert original.id not in await house.catalog.active_ids()


async def test_a_storyboard_whose_message_was_lost_is_asked_for_again(
    house: Archive, video: Video, original: Video
):
    await forgotten(house, video, TaskKind.STORYBOARD)
    assert video.id in await house.catalog.active_ids()
    done = await settled(house, video)
    assert (done.status, done.storyboard) == (Status.READY, original.storyboard)
    assert video.id not in await house.catalog.active_ids()


async def test_a_storyboard_that_cannot_be_drawn_costs_the_video_nothing(house: Archive, video: Video):
    await house.lose(video, segment_file(video.renditions[0].name, 0, 1))
    await forgotten(house, video, TaskKind.STORYBOARD)
    done = await settled(house, video)
    assert (done.status, done.storyboard, done.reason) == (Status.READY, None, None)
    assert (await task_of(house, video, TaskKind.STORYBOARD)).done
    assert len(done.captions.offered) == 1


@pytest.mark.parametrize("extra", ["storyboard", "captions", "pictures"])
async def test_an_extra_that_was_lost_is_made_again(house: Archive, video: Video, extra: str):
    name = {"storyboard": sheet_file(0, 0), "captions": "text0-g0.vtt", "pictures": "poster-g0.jpg"}[extra]
    before = await house.read(video, name)
    await house.lose(video, name)
    desk = JobDesk(house.storage.client, house.broker)
    (task,) = await desk.redo(video.id, piece=None, track=extra)
    assert task.endswith(extra)

    async def there() -> bytes | None:
        return await house.read(video, name)

    assert await eventually(there, deadline_s=60, what="it is there again") == before
