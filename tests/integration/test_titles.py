"""Quality by title: judged by samples, changed only where nobody has begun, and without a seam."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.shared.catalog import Claim, WorkBook
from services.shared.etcd import EtcdClient
from services.shared.plan import Plan
from services.shared.task import Task, TaskKind, TaskResult
from services.shared.video import new_video_id
from services.transcoder.command import Input
from services.transcoder.complexity import MAX_RELIEF, relief
from services.transcoder.encode import PieceJob, encode_piece
from services.transcoder.ladder import H264, Ladder, Rungs
from services.transcoder.process import Limits
from services.transcoder.titles import Titles, judge
from tests.harness.media import Collector, decoded_frames, planned
from tests.harness.sources import Recipe

FLEXIBLE = H264.model_copy(update={"per_title": True})
CALM = Recipe(name="calm", rate="5", duration_s=150, filters="boxblur=8,eq=contrast=0.5")
GRAINY = Recipe(name="grainy", duration_s=12, filters="noise=alls=40:allf=t+u")
CODECS = ("h264", "hevc", "vp9", "av1")
UNCAPPED = Ladder(
    codec=tuple(Rungs(profile=name, lines=(90,), bitrate=100_000_000) for name in CODECS), per_title=True
)
LIMITS = Limits(wall_s=60)


@dataclass(frozen=True, kw_only=True)
class Work:
    """A video whose samples are somebody's task."""

    book: WorkBook
    plan: Plan
    source: Input
    claim: Claim
    lease_id: int

    async def ease(self) -> None:
        await Titles(book=self.book, limits=LIMITS).ease(self.plan, self.claim, self.source)

    async def take(self, task: Task) -> Claim:
        return await self.book.claim(
            self.claim.video_id, self.claim.generation, task.name, worker="other", lease_id=self.lease_id
        )

    async def pieces(self) -> list[Task]:
        tasks = await self.book.tasks(self.claim.video_id, self.claim.generation)
        return [task for task in tasks if task.piece and not task.urgent]

    async def reliefs(self) -> list[int]:
        return [task.piece.relief for task in await self.pieces() if task.piece]


@pytest.fixture
async def work(etcd_client: EtcdClient, source_folder: Path) -> AsyncIterator[Work]:
    book, video_id = WorkBook(etcd_client), new_video_id()
    source, plan, tasks = await planned(CALM.make(source_folder), FLEXIBLE)
    ordered = [task.model_copy(update={"order": order}) for order, task in enumerate(tasks)]
    await book.write_plan(video_id, plan, ordered)
    samples = next(task for task in tasks if task.kind is TaskKind.SAMPLES)
    async with etcd_client.lease(60) as lease:
        claim = await book.claim(video_id, plan.generation, samples.name, worker="w", lease_id=lease.id)
        yield Work(book=book, plan=plan, source=source, claim=claim, lease_id=lease.id)


async def test_calm_pictures_need_less_than_grainy_ones(source_folder):
    for recipe, steps in ((CALM, MAX_RELIEF), (GRAINY, 0)):
        source, plan, tasks = await planned(recipe.make(source_folder))
        piece = next(task.piece for task in reversed(tasks) if task.piece)
        assert relief([await judge(source, plan, piece, limits=LIMITS)]) == steps


async def test_samples_are_taken_while_there_is_something_to_watch_and_only_if_asked_for(source_folder):
    _, _, tasks = await planned(CALM.make(source_folder), FLEXIBLE)
    kinds = [task.kind for task in tasks if not task.urgent]
    assert kinds.index(TaskKind.SAMPLES) == 2
    _, _, tasks = await planned(CALM.make(source_folder))
    assert TaskKind.SAMPLES not in {task.kind for task in tasks}


async def test_all_that_nobody_has_begun_is_encoded_coarser(work):
    await work.ease()
    assert await work.reliefs() == [MAX_RELIEF] * len(await work.pieces())
    await work.ease()
    assert await work.reliefs() == [MAX_RELIEF] * len(await work.pieces())


async def test_what_is_done_or_in_the_making_keeps_its_quality(work):
    done, making, *rest = await work.pieces()
    await work.book.finish(await work.take(done), TaskResult(worker="other"))
    await work.take(making)
    await work.ease()
    assert await work.reliefs() == [0, 0, *[MAX_RELIEF] * len(rest)]


async def test_who_has_lost_the_task_changes_nothing(work):
    await work.book.release(work.claim)
    await work.ease()
    assert set(await work.reliefs()) == {0}


async def test_pieces_of_different_quality_fit_together_in_every_codec(source_folder, tmp_path):
    source, plan, tasks = await planned(GRAINY.make(source_folder), UNCAPPED)
    made = {}
    pieces = [task.piece for task in tasks if task.piece]
    for steps in (0, MAX_RELIEF):
        collector = Collector()  # which insists on one initialisation segment
        for piece in pieces:
            coarser = piece.model_copy(update={"relief": steps if piece.first_segment else 0})
            await encode_piece(PieceJob(source=source, plan=plan, piece=coarser), collector)
        made[steps] = collector
    for rendition in plan.renditions:
        path = made[MAX_RELIEF].write(rendition.name, tmp_path / f"{rendition.name}.mp4")
        assert decoded_frames(path) == plan.frames
        assert made[0].inits[rendition.name] == made[MAX_RELIEF].inits[rendition.name]
        best, coarse = (size_of(made[steps], rendition.name) for steps in (0, MAX_RELIEF))
        assert 0.2 * best < coarse < 0.75 * best


def size_of(collector: Collector, track: str) -> int:
    """Of what is not in the first segment."""
    return sum(len(data) for (name, number), data in collector.segments.items() if name == track and number)
