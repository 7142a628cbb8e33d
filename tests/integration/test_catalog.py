"""The catalogue on a real etcd: transitions, pages, uploads, claims and their fences."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.shared.catalog import (
    NO_ERRAND,
    PLAN,
    Catalog,
    Errand,
    Measured,
    Starts,
    Verifications,
    WorkBook,
    keys,
    now_ms,
)
from services.shared.errors import (
    AmbiguousError,
    ConflictError,
    FencedError,
    NotFoundError,
    PermanentJobError,
)
from services.shared.etcd import EtcdClient, TxnResult
from services.shared.plan import Availability, Plan, Rational
from services.shared.task import Task, TaskKind, TaskResult
from services.shared.tracks import Rendition
from services.shared.video import Source, Status, Video, new_video_id
from tests.harness.videos import task_records
from tests.harness.waiting import eventually

SOURCE = Source(size_bytes=1, sha256="0" * 64, part_bytes=1 << 20, parts=1)
RESULT = TaskResult(worker="w1", frames=100)


def plan(generation: int = 0) -> Plan:
    return Plan(
        generation=generation,
        time_base=Rational(num=1, den=12_800),
        start_ticks=0,
        fps=Rational(num=25, den=1),
        frames=300,
        segment_frames=100,
        timescale=12_800,
        renditions=(Rendition(name="240p", width=426, height=240, bitrate=1),),
        input_format="mov",
        encoder="x264",
    )


def tasks(count: int) -> list[Task]:
    return [Task(name=f"piece-{n:05d}", kind=TaskKind.VIDEO) for n in range(count)]


@pytest.fixture
def catalog(etcd_client: EtcdClient) -> Catalog:
    return Catalog(etcd_client)


@pytest.fixture
def book(etcd_client: EtcdClient) -> WorkBook:
    return WorkBook(etcd_client)


async def uploaded(catalog: Catalog, etcd: EtcdClient, title: str = "A title") -> Video:
    now = now_ms()
    video = Video(
        id=new_video_id(),
        title=title,
        status=Status.UPLOADED,
        created_at_ms=now,
        updated_at_ms=now,
        source=SOURCE,
    )
    async with etcd.lease(10) as lease:
        await catalog.begin_upload(video.id, instance="web", lease_id=lease.id)
        await catalog.finish_upload(video)
    return video


async def test_an_upload_that_was_answered_outlives_its_receiver(catalog, etcd_client):
    video = await uploaded(catalog, etcd_client)
    assert await catalog.get(video.id) == video
    assert video.id in await catalog.active_ids()
    assert video.id not in await catalog.stale_uploads()
    assert not await catalog.abandon_upload(video.id)


async def test_an_upload_whose_receiver_died_is_stale_and_cannot_be_finished_once_abandoned(
    catalog, etcd_client
):
    video_id = new_video_id()
    async with etcd_client.lease(10) as lease:
        await catalog.begin_upload(video_id, instance="web", lease_id=lease.id)
        assert video_id not in await catalog.stale_uploads()
    await eventually(lambda: _is_stale(catalog, video_id), what="the upload is stale")
    assert await catalog.abandon_upload(video_id)
    assert await etcd_client.get(keys.tombstone(video_id))
    late = Video(
        id=video_id, title="t", status=Status.UPLOADED, created_at_ms=1, updated_at_ms=1, source=SOURCE
    )
    with pytest.raises(ConflictError, match="upload again"):
        await catalog.finish_upload(late)


async def _is_stale(catalog: Catalog, video_id: str) -> bool:
    return video_id in await catalog.stale_uploads()


async def test_pages_run_from_the_newest_to_the_oldest_without_gap_or_repeat(catalog, etcd_client):
    mark = new_video_id()
    made = [await uploaded(catalog, etcd_client, f"{mark} {n}") for n in range(5)]
    seen, before = [], None
    while True:
        page, before = await catalog.page(limit=2, before=before, text=mark)
        seen += [video.id for video in page]
        if before is None:
            break
    assert sorted(seen) == seen
    assert set(seen) == {video.id for video in made}


async def test_search_ignores_case(catalog, etcd_client):
    video = await uploaded(catalog, etcd_client, "Über den Dächern")
    found, _ = await catalog.page(limit=10, text="ÜBER DEN")
    assert video.id in [entry.id for entry in found]


async def test_changes_at_once_are_all_applied(catalog, etcd_client):
    video = await uploaded(catalog, etcd_client, "0")
    bump = lambda now: now.model_copy(update={"title": str(int(now.title) + 1)})  # noqa: E731
    await asyncio.gather(*(catalog.change(video.id, bump) for _ in range(8)))
    assert (await catalog.get(video.id)).title == "8"


async def test_a_failed_video_starts_over_under_the_next_generation(catalog, etcd_client):
    video = await uploaded(catalog, etcd_client)
    with pytest.raises(ConflictError, match="Only a failed video"):
        await catalog.retry(video.id)
    failed = await catalog.fail(video.id, 0, "It broke.")
    assert (failed.status, failed.reason) == (Status.FAILED, "It broke.")
    assert video.id not in await catalog.active_ids()
    again = await catalog.retry(video.id)
    assert (again.status, again.generation, again.reason) == (Status.UPLOADED, 1, None)
    assert video.id in await catalog.active_ids()


async def test_a_refused_source_is_purged_and_cannot_be_retried(catalog, etcd_client):
    video = await uploaded(catalog, etcd_client)
    claimed = {"duration_s": 72_008.0, "width": 426, "height": 240, "frames": 1_800_200}
    made = {"renditions": plan().renditions, "poster": True, "progress": 0.1, "playable_s": 4.0}
    await catalog.change(video.id, lambda now: now.model_copy(update={**claimed, **made}))
    refused = await catalog.refuse(video.id, 0, "No picture in it.")
    assert {name: getattr(refused, name) for name in claimed} == dict.fromkeys(claimed)
    assert {name: getattr(refused, name) for name in made} == {name: getattr(video, name) for name in made}
    assert (refused.status, refused.reason, refused.retryable) == (Status.FAILED, "No picture in it.", False)
    assert await etcd_client.get(keys.tombstone(video.id))
    with pytest.raises(ConflictError, match="upload another"):
        await catalog.retry(video.id)
    assert (await catalog.delete(video.id)).status is Status.DELETED


async def test_refusing_a_video_that_has_moved_on_buries_nothing(catalog, etcd_client):
    video = await uploaded(catalog, etcd_client)
    await catalog.fail(video.id, 0, "first")
    again = await catalog.retry(video.id)
    assert await catalog.refuse(video.id, 0, "late") == again
    assert await etcd_client.get(keys.tombstone(video.id)) is None


async def test_a_failure_of_an_earlier_generation_changes_nothing(catalog, etcd_client):
    video = await uploaded(catalog, etcd_client)
    await catalog.fail(video.id, 0, "first")
    again = await catalog.retry(video.id)
    assert await catalog.fail(video.id, 0, "late news") == again


async def test_a_deleted_video_leaves_nothing_but_its_tombstone(catalog, book, etcd_client):
    video = await uploaded(catalog, etcd_client)
    await book.write_plan(video.id, plan(), tasks(3))
    deleted = await catalog.delete(video.id)
    assert deleted.status is Status.DELETED
    with pytest.raises(NotFoundError):
        await catalog.get(video.id)
    assert await etcd_client.get(keys.tombstone(video.id))
    assert await book.plan(video.id, 0) is None
    assert await book.tasks(video.id, 0) == []
    with pytest.raises(NotFoundError):
        await catalog.delete(video.id)


async def test_a_cancelled_video_keeps_its_original_alone_and_can_be_started_over(catalog, book, etcd_client):
    video = await uploaded(catalog, etcd_client)
    await book.write_plan(video.id, plan(), tasks(3))
    cancelled = await catalog.cancel(video.id)
    assert (cancelled.status, cancelled.reason) == (Status.FAILED, "Processing was cancelled.")
    assert cancelled.retryable
    assert video.id not in await catalog.active_ids()
    assert await book.plan(video.id, 0) is None
    assert await book.tasks(video.id, 0) == []
    assert await etcd_client.get(keys.tombstone(keys.grave(video.id, 0)))
    assert await etcd_client.get(keys.tombstone(video.id)) is None
    with pytest.raises(ConflictError, match="this video is failed"):
        await catalog.cancel(video.id)
    assert (await catalog.retry(video.id)).generation == 1


async def test_a_plan_for_what_was_given_up_is_not_written(catalog, book, etcd_client):
    cancelled, deleted = [await uploaded(catalog, etcd_client) for _ in range(2)]
    await catalog.cancel(cancelled.id)
    await catalog.delete(deleted.id)
    for video in (cancelled, deleted):
        assert not await book.write_plan(video.id, plan(), tasks(3))
        assert await book.tasks(video.id, 0) == []


async def test_a_failed_video_goes_on_where_it_stopped(catalog, book, etcd_client):
    video = await uploaded(catalog, etcd_client)
    await book.write_plan(video.id, plan(), tasks(2))
    async with etcd_client.lease(10) as lease:
        await book.claim(video.id, 0, "piece-00001", worker="w", lease_id=lease.id)
        await catalog.fail(video.id, 0, "The disk burnt.")
        assert await book.claimed(video.id, 0) == {}
    resumed = await catalog.resume(video.id, 0)
    assert (resumed.status, resumed.generation, resumed.reason) == (Status.PROCESSING, 0, None)
    assert len(await book.tasks(video.id, 0)) == 2
    assert video.id in await catalog.active_ids()
    with pytest.raises(ConflictError, match="cannot go on"):
        await catalog.resume(video.id, 0)


async def test_starting_over_buries_what_the_last_generation_made(catalog, book, etcd_client):
    video = await uploaded(catalog, etcd_client)
    await book.write_plan(video.id, plan(), tasks(3))
    await catalog.restart(video.id, 0, whole=True)
    assert await etcd_client.get(keys.tombstone(keys.grave(video.id, 0)))
    assert await book.tasks(video.id, 0) == []
    assert not await book.write_plan(video.id, plan(), tasks(3))
    assert await book.write_plan(video.id, plan(generation=1), tasks(3))


async def test_a_job_that_never_comes_to_an_end_is_given_up(etcd_client):
    starts, video_id = Starts(etcd_client), new_video_id()
    left_behind = b'{"workers": {"t1": "w1", "t2": "w2"}}'
    await etcd_client.put(keys.start(video_id, 0, "piece"), left_behind)
    assert await starts.of(video_id, 0) == {"piece": ["w1", "w2"]}
    with pytest.raises(PermanentJobError, match="died 2 times") as given_up:
        async with starts.noted(video_id, 0, "piece", worker="w3", limit=2):
            pytest.fail("it began once more")
    assert given_up.value.detail == "piece was begun, and not ended, by: w1, w2"
    await starts.forget(video_id, 0)
    async with starts.noted(video_id, 0, "piece", worker="w3", limit=2):
        assert await starts.of(video_id, 0) == {"piece": ["w3"]}
    assert await starts.of(video_id, 0) == {}


@pytest.mark.parametrize("error", [ValueError("broken"), asyncio.CancelledError()], ids=["failed", "stopped"])
async def test_a_job_that_ends_badly_has_ended(etcd_client, error):
    starts, video_id = Starts(etcd_client), new_video_id()
    with pytest.raises(type(error)):
        async with starts.noted(video_id, 0, "piece", worker="w", limit=1):
            raise error
    assert await starts.of(video_id, 0) == {}


async def test_the_first_plan_counts(book):
    video_id = new_video_id()
    assert await book.write_plan(video_id, plan(), tasks(250))
    assert not await book.write_plan(video_id, plan().model_copy(update={"frames": 1}), tasks(1))
    assert await book.plan(video_id, 0) == plan()
    assert [task.name for task in await book.tasks(video_id, 0)] == [task.name for task in tasks(250)]


FIRST = Errand(delivery="a.0")
AGAIN = Errand(delivery="a.1", earlier=frozenset({"a.0"}))
DUPLICATES = {
    "plain": Errand(delivery="b.0"),
    "redelivered": Errand(delivery="b.1", earlier=frozenset({"b.0"})),
    "a retry": Errand(delivery="c.0", earlier=frozenset({"b.0"})),
    "of no message": NO_ERRAND,
}


@pytest.mark.parametrize("errand", DUPLICATES.values(), ids=DUPLICATES.keys())
async def test_no_duplicate_takes_work_from_a_live_owner_however_it_arrives(book, etcd_client, errand):
    video_id = new_video_id()
    await book.write_plan(video_id, plan(), tasks(1))
    async with etcd_client.lease(10) as one, etcd_client.lease(10) as other:
        claim = await book.claim(video_id, 0, "piece-00000", worker="w1", lease_id=one.id, errand=FIRST)
        for redo in (False, True):
            with pytest.raises(FencedError, match="other hands"):
                await book.claim(
                    video_id, 0, "piece-00000", worker="w2", lease_id=other.id, errand=errand, redo=redo
                )
        async with book.doing(PLAN, video_id, 0, worker="w1", lease_id=one.id, errand=FIRST):
            with pytest.raises(FencedError, match="Somebody else"):
                async with book.doing(PLAN, video_id, 0, worker="w2", lease_id=other.id, errand=errand):
                    pytest.fail("two plan it")
        await book.finish(claim, RESULT)


async def test_a_duplicate_gets_the_work_of_a_worker_whose_lease_has_gone(book, etcd_client):
    video_id = new_video_id()
    await book.write_plan(video_id, plan(), tasks(1))
    async with etcd_client.lease(10) as one:
        await book.claim(video_id, 0, "piece-00000", worker="w1", lease_id=one.id, errand=FIRST)
    async with etcd_client.lease(10) as other:
        heir = await book.claim(
            video_id, 0, "piece-00000", worker="w2", lease_id=other.id, errand=DUPLICATES["plain"]
        )
        await book.finish(heir, RESULT)


async def test_a_duplicate_of_a_running_job_is_fenced(book, etcd_client):
    video_id = new_video_id()
    await book.write_plan(video_id, plan(), tasks(1))
    async with etcd_client.lease(10) as one, etcd_client.lease(10) as other:
        await book.claim(video_id, 0, "piece-00000", worker="w1", lease_id=one.id)
        with pytest.raises(FencedError):
            await book.claim(video_id, 0, "piece-00000", worker="w2", lease_id=other.id)
        assert await book.claimed(video_id, 0) == {"piece-00000": "w1"}


async def test_one_worker_plans_a_video_until_the_broker_gives_up_on_it(book, etcd_client):
    video_id = new_video_id()
    async with etcd_client.lease(10) as lease:
        how = {"lease_id": lease.id, "errand": FIRST}
        async with book.doing(PLAN, video_id, 0, worker="w1", **how):
            assert await book.claimed(video_id, 0) == {"plan": "w1"}
            with pytest.raises(FencedError, match="Somebody else"):
                async with book.doing(PLAN, video_id, 0, worker="w2", **how):
                    pytest.fail("two plan it")
            async with book.doing(PLAN, video_id, 0, worker="w3", lease_id=lease.id, errand=AGAIN):
                assert await book.claimed(video_id, 0) == {"plan": "w3"}
        assert await book.claimed(video_id, 0) == {}


async def test_whoever_the_broker_gave_up_on_cannot_finish(book, etcd_client):
    video_id = new_video_id()
    await book.write_plan(video_id, plan(), tasks(1))
    async with etcd_client.lease(10) as one, etcd_client.lease(10) as other:
        late = await book.claim(video_id, 0, "piece-00000", worker="w1", lease_id=one.id, errand=FIRST)
        heir = await book.claim(video_id, 0, "piece-00000", worker="w2", lease_id=other.id, errand=AGAIN)
        with pytest.raises(FencedError):
            await book.finish(late, RESULT)
        with pytest.raises(FencedError):
            await book.report(late, segments_done=3)
        await book.release(late)
        await book.finish(heir, RESULT)
    [task] = await book.tasks(video_id, 0)
    assert task.done
    assert await book.claimed(video_id, 0) == {}
    with pytest.raises(FencedError, match="done already"):
        await book.claim(video_id, 0, "piece-00000", worker="w3", lease_id=0, errand=AGAIN)


async def test_work_outlives_a_lease_that_ran_out_if_nobody_took_it(book, etcd_client):
    video_id = new_video_id()
    await book.write_plan(video_id, plan(), tasks(1))
    async with etcd_client.lease(10) as lease:
        claim = await book.claim(video_id, 0, "piece-00000", worker="w1", lease_id=lease.id)
    assert await book.claimed(video_id, 0) == {}
    await book.finish(claim, RESULT)
    [task] = await book.tasks(video_id, 0)
    assert task.result == RESULT


async def test_a_result_for_a_deleted_video_is_fenced(catalog, book, etcd_client):
    video = await uploaded(catalog, etcd_client)
    await book.write_plan(video.id, plan(), tasks(1))
    async with etcd_client.lease(10) as lease:
        claim = await book.claim(video.id, 0, "piece-00000", worker="w", lease_id=lease.id)
        await catalog.delete(video.id)
        with pytest.raises(FencedError):
            await book.finish(claim, RESULT)
    assert await book.tasks(video.id, 0) == []


async def test_a_piece_that_was_begun_and_handed_back_is_not_made_coarser(book, etcd_client):
    video_id, *pieces = new_video_id(), *(task for task in task_records() if task.piece)
    [samples] = tasks(1)
    await book.write_plan(video_id, plan(), [*pieces, samples])
    async with etcd_client.lease(10) as lease:
        given = {"worker": "w", "lease_id": lease.id}
        await book.release(await book.claim(video_id, 0, pieces[0].name, **given))
        judge = await book.claim(video_id, 0, samples.name, **given)
        assert [await book.relieve(judge, task.name, 2) for task in pieces] == [
            False,
            *([True] * (len(pieces) - 1)),
        ]


async def test_lost_work_is_asked_for_by_one_caller_only(book):
    video_id = new_video_id()
    await book.write_plan(video_id, plan(), tasks(1))
    now = now_ms() + 1
    asked = await asyncio.gather(
        *(book.republishable(video_id, 0, "piece-00000", before_ms=now) for _ in range(4))
    )
    assert sum(task is not None for task in asked) == 1


async def test_no_clock_that_was_ahead_keeps_lost_work_from_being_asked_for(catalog, book, etcd_client):
    now = now_ms()
    tomorrow, before_ms = now + 86_400_000, now - 60_000
    video = await uploaded(catalog, etcd_client)
    await catalog.change(video.id, lambda now: now.model_copy(update={"updated_at_ms": tomorrow}))
    assert await catalog.touch(video.id, before_ms=before_ms)
    assert not await catalog.touch(video.id, before_ms=before_ms)
    ahead, on_time = (
        task.model_copy(update={"published_at_ms": told})
        for task, told in zip(tasks(2), (tomorrow, now + 2000), strict=True)
    )
    await book.write_plan(video.id, plan(), [ahead, on_time])
    assert await book.republishable(video.id, 0, ahead.name, before_ms=before_ms)
    assert not await book.republishable(video.id, 0, ahead.name, before_ms=before_ms)
    assert not await book.republishable(video.id, 0, on_time.name, before_ms=before_ms)


async def test_no_clock_that_was_ahead_keeps_others_from_sweeping(book, etcd_client):
    await etcd_client.put(keys.SWEEP, str(now_ms() + 86_400_000).encode())
    assert await book.begin_sweep(interval_ms=60_000)
    assert not await book.begin_sweep(interval_ms=60_000)


async def test_a_video_that_is_to_be_verified_later_is_left_alone_but_not_until_a_wrong_clock_says_so(
    catalog, etcd_client
):
    verifications, minute_ms = Verifications(etcd_client), 60_000
    video, now = await uploaded(catalog, etcd_client), now_ms()
    for told_ms, due in ((now + 59 * minute_ms, False), (now + 24 * 60 * minute_ms, True)):
        await etcd_client.put(keys.unverified(video.id), str(told_ms).encode())
        unserved = await verifications.unserved(before_ms=now - minute_ms)
        assert (video.id in unserved) is due
        assert await verifications.touch(video.id, before_ms=now - minute_ms) is due


class Deaf(EtcdClient):
    """A client that does not hear the answer to its next transaction, as when a leader dies."""

    deaf = False

    async def txn(self, *args: Any, **named: Any) -> TxnResult:
        result = await super().txn(*args, **named)
        deaf, self.deaf = self.deaf, False
        if deaf:
            raise AmbiguousError("The connection was cut.")
        return result


async def test_what_was_done_is_not_refused_because_nobody_heard_so(etcd):
    async with Deaf.connect(etcd.endpoints) as client:
        assert isinstance(client, Deaf)
        catalog = Catalog(client)
        video = await uploaded(catalog, client)
        await catalog.fail(video.id, 0, "passing")
        for change, status in ((catalog.retry, Status.UPLOADED), (catalog.cancel, Status.FAILED)):
            client.deaf = True
            after = await change(video.id)
            assert (after.status, after.generation) == (status, 1)
            assert await catalog.get(video.id) == after


async def test_what_is_published_last_was_measured_last(catalog, etcd_client):
    video = await uploaded(catalog, etcd_client)
    done = 0

    async def measure(now: Video) -> Measured:
        nonlocal done
        done += 1
        measured = done
        await asyncio.gather(
            *(catalog.rename(video.id, f"disturbed {measured}") for _ in range(measured < 3))
        )
        return Measured(
            video=now.model_copy(update={"progress": measured / 10}),
            availability=Availability(video_segments={"240p": measured}),
        )

    published = await catalog.publish(video.id, measure)
    available = await catalog.availability(video.id)
    assert available
    assert available.video_segments["240p"] == done == 3
    assert published.progress == 0.3
