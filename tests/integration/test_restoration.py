"""A track that a finished video goes without is made again by a real worker, while the video is watched."""

from __future__ import annotations

import pytest
import pytest_asyncio

from services.admin.jobs.desk import JobDesk
from services.shared.broker.wire import from_message
from services.shared.catalog import keys
from services.shared.catalog.work import ClaimRecord
from services.shared.dispatch import Dispatcher
from services.shared.errors import ConflictError
from services.shared.filenames import final_file, init_file, playlist_file, poster_file, segment_file
from services.shared.manifest import final_files
from services.shared.messages import BULK_QUEUE
from services.shared.plan import Plan
from services.shared.references import references
from services.shared.task import Task, lacking, makers
from services.shared.video import Omission, Verdict, Video
from services.transcoder.availability import availability
from tests.harness.finished import Archive
from tests.harness.sources import Recipe, ffmpeg, x264
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_FILM = Recipe(name="with a gap", suffix="mkv", size="640x360", duration_s=14, video=x264("-g", "50"))
_WHY = "Its pictures could not be encoded."


@pytest_asyncio.fixture(scope="module")
async def original(shared_house: Archive, source_folder) -> Video:
    """A finished video of two renditions and two sound tracks; do nothing to it."""
    path = source_folder / "with a gap and two sounds.mkv"
    tones = ("-f", "lavfi", "-i", "sine=d=14")
    streams = ("-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:v", "copy", "-c:a", "aac")
    ffmpeg("-i", str(_FILM.make(source_folder)), *tones, *streams, str(path))
    return await shared_house.made_from(path)


@pytest_asyncio.fixture
async def video(house: Archive, original: Video) -> Video:
    """Another one like it."""
    return await house.copy_of(original)


@pytest.fixture
def desk(house: Archive) -> JobDesk:
    return JobDesk(house.storage.client, house.broker)


@pytest.fixture
def best(original: Video) -> str:
    """The name of the best rendition."""
    return original.renditions[-1].name


async def records(house: Archive, video: Video) -> tuple[Plan, list[Task]]:
    plan = await house.book.plan(video.id, 0)
    assert plan
    return plan, await house.book.tasks(video.id, 0)


def files_of(track: str) -> list[str]:
    """Its segments; not its playlist, which has another name when the track has come back."""
    return [init_file(track, 0), *(segment_file(track, 0, number) for number in range(4))]


async def leave_out(house: Archive, video: Video, track: str) -> None:
    """Bring the records and files to where they are when a track could not be encoded."""
    etcd = house.storage.client
    plan, tasks = await records(house, video)
    smaller = plan.without(track)
    await etcd.put(keys.plan(video.id, 0), smaller.encode())
    for task in tasks:
        if task.result and track in task.tracks:
            kept = {name: made for name, made in task.result.tracks.items() if name != track}
            bare = task.model_copy(update={"result": task.result.model_copy(update={"tracks": kept})})
            await etcd.put(keys.task(video.id, 0, task.name), bare.encode())
    epoch = house.storage.topology.view.epoch
    for name in (*files_of(track), final_file(playlist_file(track), 0)):
        for node in house.storage.nodes:
            if await node.has(f"{video.id}/{name}"):
                await node.drop(f"{video.id}/{name}", epoch=epoch)
    for name, text in final_files(smaller, availability(smaller, tasks)).items():
        await house.replace(video, final_file(name, 0), text)
    told = {
        "renditions": tuple(rung for rung in video.renditions if rung.name != track),
        "audio": smaller.audio,
        "omitted": (Omission(rendition=track, reason=_WHY),),
    }
    await house.catalog.change(video.id, lambda now: now.model_copy(update=told))


async def held_back(house: Archive, desk: JobDesk, video: Video, track: str) -> str:
    """Have a track made again, all but its end, which somebody has claimed for good; the claim's key."""
    house.worker.kill()
    names = await desk.redo(video.id, piece=None, track=track)
    claim = keys.claim(video.id, 0, names[-1])
    await house.storage.client.put(claim, b'{"worker": "somebody", "token": "theirs"}')
    house.worker.revive()
    share = 1 - 1 / len(names)

    async def waits() -> bool:
        [omission] = (await house.catalog.get(video.id)).omitted
        return omission.progress is not None and omission.progress >= round(share, 4)

    await eventually(waits, deadline_s=120, what="all but the end of it is made")
    return claim


async def lost_once(house: Archive) -> str:
    """Take the next job while no worker runs, and lose it again; which delivery that was."""

    async def taken() -> str | None:
        async with house.broker.consuming.channel() as channel:
            queue = await channel.get_queue(BULK_QUEUE, ensure=False)
            message = await queue.get(fail=False)
            if message is None:
                return None
            delivery = from_message(message, queue=BULK_QUEUE).delivery
            await message.reject(requeue=True)
            return delivery

    return await eventually(taken, deadline_s=60, what="a job waits")


async def settled(house: Archive, video: Video) -> Video:
    """The record once nobody makes anything of it again."""

    async def at_rest() -> Video | None:
        now = await house.catalog.get(video.id)
        return None if now.restoring or now.extras_due else now

    return await eventually(at_rest, deadline_s=120, what="nothing is made again")


async def remains(house: Archive, video: Video, track: str) -> set[str]:
    return {name for name in await house.files(video) if name.startswith(f"{track}-g0")}


async def test_a_rendition_comes_back_when_all_of_it_is_there_and_not_before(
    house: Archive, desk: JobDesk, video: Video, original: Video, best: str
):
    await leave_out(house, video, best)
    claim = await held_back(house, desk, video, best)
    waiting = await house.catalog.get(video.id)
    before = await house.read(video, final_file("manifest.mpd", 0))
    assert (waiting.status, waiting.edition) == ("ready", "")
    assert best not in {rung.name for rung in waiting.renditions}
    assert before
    assert f'id="{best}"'.encode() not in before
    await house.storage.client.delete(claim)

    done = await settled(house, video)
    assert (done.status, done.omitted) == ("ready", ())
    assert done.renditions == original.renditions
    for name in files_of(best):
        assert await house.read(video, name) == await house.read(original, name)
    manifest = await house.read(video, final_file("manifest.mpd", 0, done.edition))
    assert manifest == await house.read(original, final_file("manifest.mpd", 0))
    assert (await records(house, video))[0] == (await records(house, original))[0]

    async def verdict() -> Verdict | None:
        return (await house.catalog.get(video.id)).verdict

    assert await eventually(verdict, deadline_s=120, what="it was looked at anew") is Verdict.SOUND
    referred = references(done, *await records(house, video))
    assert {name for name in await house.files(video) if not referred.is_garbage(name)} == referred.needed


async def test_a_duplicate_that_is_delivered_again_takes_no_work_from_a_live_owner(
    house: Archive, desk: JobDesk, video: Video, best: str
):
    await leave_out(house, video, best)
    claim = await held_back(house, desk, video, best)
    before = await house.storage.client.get(claim)
    house.worker.kill()
    [end] = lacking(await house.book.tasks(video.id, 0), best)
    await Dispatcher(house.broker).redo(video, end, tracks=(best,))
    await lost_once(house)
    await house.lose(video, poster_file(0))
    await desk.redo(video.id, piece=None, track="pictures")
    house.worker.revive()

    async def later_job_is_done() -> bool:
        return await house.read(video, poster_file(0)) is not None

    await eventually(later_job_is_done, deadline_s=60, what="what came after the duplicate is done")
    assert await house.storage.client.get(claim) == before
    await desk.cancel(video.id)


async def test_the_message_of_a_worker_that_lost_it_takes_its_work_over_at_once(
    house: Archive, desk: JobDesk, video: Video, best: str
):
    await leave_out(house, video, best)
    claim = await held_back(house, desk, video, best)
    house.worker.kill()
    [end] = lacking(await house.book.tasks(video.id, 0), best)
    await Dispatcher(house.broker).redo(video, end, tracks=(best,))
    record = ClaimRecord(worker="somebody", token="theirs", delivery=await lost_once(house))
    await house.storage.client.put(claim, record.encode())
    house.worker.revive()
    assert (await settled(house, video)).omitted == ()


async def test_a_sound_track_comes_back(house: Archive, desk: JobDesk, video: Video, original: Video):
    await leave_out(house, video, "a1")
    assert await desk.redo(video.id, piece=None, track="a1")
    done = await settled(house, video)
    assert (done.audio, done.omitted) == (original.audio, ())
    for name in files_of("a1"):
        assert await house.read(video, name) == await house.read(original, name)


async def test_what_was_made_goes_when_it_is_cancelled_and_the_video_stays_as_it_was(
    house: Archive, desk: JobDesk, video: Video, best: str
):
    await leave_out(house, video, best)
    before, files = await house.catalog.get(video.id), set(await house.files(video))
    claim = await held_back(house, desk, video, best)
    assert await remains(house, video, best)
    await desk.cancel(video.id)
    after = await house.catalog.get(video.id)
    assert after.model_copy(update={"updated_at_ms": 0}) == before.model_copy(update={"updated_at_ms": 0})
    assert await house.storage.client.get(claim) is None
    await eventually(
        lambda: _equal(house, video, files), deadline_s=60, what="nothing is left of what was made"
    )
    assert video.id not in await house.catalog.active_ids()
    with pytest.raises(ConflictError, match="Only processing can be cancelled"):
        await desk.cancel(video.id)
    assert await again(desk, video, best)
    assert (await settled(house, video)).omitted == ()


async def again(desk: JobDesk, video: Video, track: str) -> list[str]:
    """Have a track made once more, as soon as all nodes have cleared away what was left of it."""
    return await eventually(
        lambda: desk.redo(video.id, piece=None, track=track), deadline_s=60, what="nothing is in the way"
    )


async def _equal(house: Archive, video: Video, files: set[str]) -> bool:
    return set(await house.files(video)) == files


async def test_nothing_is_left_when_the_video_is_deleted_meanwhile(
    house: Archive, desk: JobDesk, video: Video, best: str
):
    await leave_out(house, video, best)
    await held_back(house, desk, video, best)
    await house.catalog.delete(video.id)
    for kind in ("plans", "tasks", "claims", "starts", "active"):
        assert [kv.key async for kv in house.storage.client.range(f"{kind}/{video.id}")] == []
    await eventually(lambda: _equal(house, video, set()), deadline_s=60, what="its files are gone")


async def test_a_second_failure_leaves_the_video_as_it_was_and_says_so(
    house: Archive, desk: JobDesk, video: Video, best: str
):
    await leave_out(house, video, best)
    files = set(await house.files(video))
    plan, _ = await records(house, video)
    *lower, top = plan.ladder
    odd = plan.model_copy(update={"ladder": (*lower, top.model_copy(update={"width": 639}))})
    await house.storage.client.put(keys.plan(video.id, 0), odd.encode())
    await desk.redo(video.id, piece=None, track=best)
    done = await settled(house, video)
    [omission] = done.omitted
    assert (done.status, omission.rendition, omission.progress) == ("ready", best, None)
    assert omission.reason.startswith("It was made again in vain: ")
    await eventually(lambda: _equal(house, video, files), deadline_s=60, what="nothing is left of it")


async def test_only_one_track_at_a_time_and_only_as_a_whole(
    house: Archive, desk: JobDesk, video: Video, best: str
):
    await leave_out(house, video, best)
    with pytest.raises(ConflictError, match="only be made as a whole"):
        await desk.redo(video.id, piece=0, track=best)
    await held_back(house, desk, video, best)
    with pytest.raises(ConflictError, match="one track at a time"):
        await desk.redo(video.id, piece=None, track=best)
    await desk.cancel(video.id)


async def test_of_a_track_that_was_made_in_part_before_nothing_is_taken_for_granted(
    house: Archive, desk: JobDesk, video: Video, best: str
):
    _, tasks = await records(house, video)
    await leave_out(house, video, best)
    [first, *_] = makers(tasks, best)
    await house.storage.client.put(keys.task(video.id, 0, first.name), first.encode())
    await desk.redo(video.id, piece=None, track=best)
    done = await settled(house, video)
    assert done.omitted == ()
    assert await remains(house, video, best) >= {*files_of(best)}
