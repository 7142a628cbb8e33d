"""A plan for a video's beginning is replaced by one for all of it, by whoever has the claim on the survey."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from copy import copy
from dataclasses import dataclass

import pytest
import pytest_asyncio

from services.shared.catalog import Claim, WorkBook
from services.shared.errors import FencedError, UnavailableError
from services.shared.etcd import Compare, EtcdClient, Op, TxnResult
from services.shared.plan import Plan, Rational
from services.shared.task import Task, TaskKind, due
from services.shared.tracks import AudioTrack, Rendition
from services.shared.video import new_video_id

PLAN = Plan(
    generation=0,
    time_base=Rational(num=1, den=12_800),
    start_ticks=0,
    fps=Rational(num=25, den=1),
    frames=30_000,
    segment_frames=100,
    timescale=12_800,
    renditions=(Rendition(name="240p", width=426, height=240, bitrate=400_000),),
    audio=(AudioTrack(index=0, duration_samples=1), AudioTrack(index=1, duration_samples=1)),
    input_format="mov",
    encoder="x264",
    surveyed=False,
)
WHOLE = PLAN.model_copy(update={"frames": 29_990, "surveyed": True})
SURVEY = Task(name="00000-survey", kind=TaskKind.SURVEY, urgent=True)
MANY = 250
"""More than fit into a transaction."""

REST = [Task(name=f"{number:05d}-piece", kind=TaskKind.VIDEO, order=number) for number in range(1, MANY + 1)]


OTHERS = [task.model_copy(update={"name": f"{task.name}-other"}) for task in REST[: MANY // 2]]
"""Of a plan for fewer workers: fewer and longer pieces."""


class Killed(Exception):  # noqa: N818 - what ends the process that would have gone on
    """The process is gone."""


class ShortLived(WorkBook):
    """Of a process that is killed when it has done so many transactions."""

    def __init__(self, etcd: EtcdClient, *, transactions: int) -> None:
        super().__init__(etcd)
        self._left = transactions
        self._send, self._etcd = etcd.txn, copy(etcd)
        self._etcd.txn = self._txn  # type: ignore[method-assign]

    async def _txn(
        self, compares: Sequence[Compare], then: Sequence[Op], otherwise: Sequence[Op] = ()
    ) -> TxnResult:
        if not self._left:
            raise Killed
        self._left -= 1
        return await self._send(compares, then, otherwise)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A video whose beginning is planned, and the claim on its survey."""

    book: WorkBook
    claim: Claim

    async def plan(self) -> Plan | None:
        return await self.book.plan(self.claim.video_id, 0)

    async def names(self) -> list[str]:
        return [task.name for task in await self.book.tasks(self.claim.video_id, 0)]


@pytest_asyncio.fixture
async def begun(etcd_client: EtcdClient) -> AsyncIterator[Begun]:
    book, video_id = WorkBook(etcd_client), new_video_id()
    await book.write_plan(video_id, PLAN, [SURVEY])
    async with etcd_client.lease(60) as lease:
        claim = await book.claim(video_id, 0, SURVEY.name, worker="w", lease_id=lease.id)
        yield Begun(book=book, claim=claim)


async def test_the_whole_plan_takes_the_place_of_the_first_one_and_brings_its_tasks(begun: Begun) -> None:
    await begun.book.complete_plan(begun.claim, PLAN, WHOLE, REST)
    assert await begun.plan() == WHOLE
    assert await begun.names() == [SURVEY.name, *(task.name for task in REST)]


async def test_whoever_has_lost_the_claim_changes_nothing(begun: Begun) -> None:
    await begun.book.release(begun.claim)
    with pytest.raises(FencedError):
        await begun.book.complete_plan(begun.claim, PLAN, WHOLE, REST)
    assert await begun.plan() == PLAN
    assert await begun.names() == [SURVEY.name]


async def test_a_track_left_out_meanwhile_has_the_plan_looked_at_again(begun: Begun) -> None:
    await begun.book.omit(begun.claim.video_id, 0, "a1")
    with pytest.raises(UnavailableError):
        await begun.book.complete_plan(begun.claim, PLAN, WHOLE, REST)
    assert await begun.names() == [SURVEY.name]


@pytest.mark.parametrize("transactions", range(5))
async def test_a_planner_that_is_killed_leaves_nothing_to_the_plan_of_the_next_one(
    etcd_client: EtcdClient, transactions: int
) -> None:
    video_id = new_video_id()
    with pytest.raises(Killed):
        await ShortLived(etcd_client, transactions=transactions).write_plan(video_id, WHOLE, REST)
    book = WorkBook(etcd_client)
    assert await book.plan(video_id, 0) is None
    assert await book.write_plan(video_id, WHOLE, OTHERS)
    assert await book.tasks(video_id, 0) == OTHERS


async def test_a_planner_that_was_given_up_adds_nothing_to_the_plan_of_the_next_one(
    etcd_client: EtcdClient,
) -> None:
    book, video_id = WorkBook(etcd_client), new_video_id()
    async with etcd_client.lease(60) as lease:
        async with book.doing("plan", video_id, 0, worker="w", lease_id=lease.id) as held:
            pass
        assert not await book.write_plan(video_id, WHOLE, REST, held=[held])
        assert await book.tasks(video_id, 0) == []
        async with book.doing("plan", video_id, 0, worker="v", lease_id=lease.id) as held:
            assert await book.write_plan(video_id, WHOLE, OTHERS, held=[held])
    assert await book.tasks(video_id, 0) == OTHERS


@pytest.mark.parametrize("transactions", range(4))
async def test_a_surveyor_that_is_killed_leaves_nothing_to_the_plan_of_the_next_one(
    begun: Begun, etcd_client: EtcdClient, transactions: int
) -> None:
    with pytest.raises(Killed):
        await ShortLived(etcd_client, transactions=transactions).complete_plan(begun.claim, PLAN, WHOLE, REST)
    assert await begun.plan() == PLAN
    acted_on = due(await begun.book.tasks(begun.claim.video_id, 0))
    assert [task.name for task in acted_on] == [SURVEY.name]
    await begun.book.complete_plan(begun.claim, PLAN, WHOLE, OTHERS)
    assert await begun.plan() == WHOLE
    assert await begun.names() == [SURVEY.name, *(task.name for task in OTHERS)]
