"""Workers join and leave while a video is in progress: nothing is lost but, at worst, what one was doing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from services.shared.filenames import init_file, segment_file
from services.shared.plan import Plan
from services.shared.task import TaskResult
from services.transcoder.command import Input
from services.transcoder.encode import PieceJob, encode_piece
from tests.harness.fixtures_stack import SMALL
from tests.harness.jobs import Works, works
from tests.harness.media import Collector
from tests.harness.server_process import ServerProcess
from tests.harness.sources import Recipe, x264
from tests.harness.stack import running_stack
from tests.harness.waiting import eventually
from tests.harness.workforce import extra_worker

pytestmark = pytest.mark.timeout(600)

_FILM = Recipe(name="workforce", size="854x480", duration_s=32, video=x264("-g", "50"))
_ENV = {"TRITONTUBE_SWEEP_INTERVAL_S": "1", "TRITONTUBE_UNSERVED_AFTER_S": "5"}
_LONG_S = 240.0


@pytest.fixture(scope="module")
def film(source_folder: Path) -> Path:
    return _FILM.make(source_folder)


@pytest_asyncio.fixture(scope="module")
async def behind(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Works]:
    """A small stack with one worker."""
    folder = tmp_path_factory.mktemp("workforce") / "data"
    async with running_stack(folder, *SMALL, env=_ENV) as stack, works(stack) as behind:
        yield behind


async def joined(behind: Works, name: str) -> None:
    """Wait until a worker is known."""

    async def known() -> bool:
        return name in await behind.book.workers()

    await eventually(known, deadline_s=60, what=f"{name} has joined")


async def piece_at(behind: Works, video_id: str, worker: str) -> str:
    """Wait until a worker does a piece; which one."""

    async def claimed() -> str | None:
        held = await behind.book.claimed(video_id, 0)
        return next((task for task, who in held.items() if who == worker and "-piece-" in task), None)

    return await eventually(claimed, deadline_s=120, what=f"{worker} does a piece")


async def results(behind: Works, video_id: str) -> dict[str, TaskResult]:
    """What has been done, by task."""
    return {task.name: task.result for task in await behind.book.tasks(video_id, 0) if task.result}


async def assert_as_if_nothing_had_happened(behind: Works, video_id: str, film: Path) -> None:
    """The lowest rendition is byte for byte what a single worker makes of the same pieces."""
    ready = await behind.stack.wait_status(video_id, "ready", deadline_s=_LONG_S)
    assert ready["frames"] == 800
    plan = await behind.book.plan(video_id, 0)
    assert plan is not None
    lowest = plan.renditions[0].name
    expected = await undisturbed(behind, video_id, plan, film)
    async with httpx.AsyncClient(base_url=behind.stack.endpoints.web, timeout=60) as http:

        async def served(name: str) -> bytes:
            return (await http.get(f"/content/{video_id}/{name}")).raise_for_status().content

        assert await served(init_file(lowest, 0)) == expected.inits[lowest]
        for number in range(plan.segments):
            segment = expected.segments[lowest, number]
            assert await served(segment_file(lowest, 0, number)) == segment


async def undisturbed(behind: Works, video_id: str, plan: Plan, film: Path) -> Collector:
    collector, source = Collector(), Input(location=str(film))
    lowest = plan.renditions[0].name
    for task in await behind.book.tasks(video_id, 0):
        if task.piece and lowest in task.piece.renditions:
            piece = task.piece.model_copy(update={"renditions": (lowest,)})
            await encode_piece(PieceJob(source=source, plan=plan, piece=piece), collector)
    return collector


async def ended(worker: ServerProcess) -> int:
    """Send SIGTERM; the exit code."""
    assert worker.process is not None
    worker.process.terminate()
    return await asyncio.to_thread(worker.process.wait, _LONG_S)


async def test_a_worker_that_joins_gets_pieces_and_finishes_its_last_one_when_told_to_end(
    behind: Works, film: Path, tmp_path: Path
):
    video_id = (await behind.stack.upload(film, title="one more joins"))["id"]
    await piece_at(behind, video_id, "transcoder-1")
    with extra_worker(behind.stack, "late", tmp_path, "--drain-timeout-s", "240") as late:
        piece = await piece_at(behind, video_id, "late")
        assert await ended(late) == 0
    assert (await results(behind, video_id))[piece].worker == "late"
    assert piece not in await behind.book.claimed(video_id, 0)
    await assert_as_if_nothing_had_happened(behind, video_id, film)
    workers = {result.worker for result in (await results(behind, video_id)).values()}
    assert workers == {"transcoder-1", "late"}


async def test_a_worker_that_must_end_at_once_hands_its_piece_back(behind: Works, film: Path, tmp_path: Path):
    with extra_worker(behind.stack, "hasty", tmp_path, "--drain-timeout-s", "0.1") as hasty:
        await joined(behind, "hasty")
        video_id = (await behind.stack.upload(film, title="one leaves"))["id"]
        piece = await piece_at(behind, video_id, "hasty")
        assert await ended(hasty) == 0
    # The other worker may have it in hand already.
    assert "hasty" not in (await behind.book.claimed(video_id, 0)).values()
    await assert_as_if_nothing_had_happened(behind, video_id, film)
    assert (await results(behind, video_id))[piece].worker == "transcoder-1"
    assert await behind.begun(video_id) == {}, "every start came to an end"


async def test_a_worker_that_is_killed_costs_the_work_on_one_piece(behind: Works, film: Path, tmp_path: Path):
    with extra_worker(behind.stack, "doomed", tmp_path) as doomed:
        await joined(behind, "doomed")
        video_id = (await behind.stack.upload(film, title="one is killed"))["id"]
        piece = await piece_at(behind, video_id, "doomed")
        doomed.kill()
    before = await results(behind, video_id)
    assert piece not in before
    await assert_as_if_nothing_had_happened(behind, video_id, film)
    after = await results(behind, video_id)
    assert {name: after[name] for name in before} == before, "what had been done is not done again"
    assert after[piece].worker == "transcoder-1"
    assert await behind.begun(video_id) == {piece: ["doomed"]}, "nothing else was begun in vain"
