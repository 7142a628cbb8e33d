"""From a stored original to a plan: whether it has to be remuxed, how it is cut, and what resists."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from services.shared.catalog import WorkBook
from services.shared.content import ContentStore
from services.shared.errors import OutOfSpaceError, PermanentJobError
from services.shared.etcd import EtcdClient
from services.shared.settings import TranscoderSettings
from services.shared.video import Source, Video
from services.transcoder.encoders import Encoders
from services.transcoder.feed import SourceFeed
from services.transcoder.ladder import H264
from services.transcoder.prepare import Preparation
from services.transcoder.process import Limits
from services.transcoder.scratch import scratch
from tests.harness.clapper import film
from tests.harness.sources import x264
from tests.harness.videos import video_record

CACHE_BYTES = 8 << 20
_PCM = ("-c:a", "pcm_s16le")


Preparing = Callable[..., AbstractAsyncContextManager[Preparation]]
Announce = Callable[[str, int | None], Awaitable[None]]


@pytest.fixture
def preparing(content: ContentStore, etcd_client: EtcdClient, tmp_path: Path) -> Preparing:
    """A preparation at a worker, whose disk could hold so much if others left it alone (None: all of it)."""

    @asynccontextmanager
    async def prepare(*, room_bytes: int | None = None) -> AsyncIterator[Preparation]:
        reserve_bytes = 0 if room_bytes is None else shutil.disk_usage(tmp_path).total - room_bytes
        async with SourceFeed.start(content, cache_bytes=CACHE_BYTES) as feed:
            with scratch(tmp_path, "worker-1", reserve_bytes=reserve_bytes) as own:
                yield Preparation(
                    book=WorkBook(etcd_client),
                    content=content,
                    feed=feed,
                    scratch=own,
                    settings=TranscoderSettings(),
                    encoders=await Encoders.find(),
                    ladder=H264,
                    limits=Limits(wall_s=120),
                )

    return prepare


@pytest_asyncio.fixture
async def announce(etcd_client: EtcdClient) -> AsyncIterator[Announce]:
    """Makes live workers known, and what their disks could hold (None: they do not say)."""
    book = WorkBook(etcd_client)
    async with etcd_client.lease(60) as lease:

        async def known(worker: str, room_bytes: int | None) -> None:
            if room_bytes is not None:
                await book.announce_room(worker, room_bytes=room_bytes, lease_id=lease.id)
            await book.announce_worker(worker, encoder="x", lease_id=lease.id)

        yield known


async def uploaded(content: ContentStore, path: Path) -> Video:
    data = await asyncio.to_thread(path.read_bytes)
    source = Source(
        size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), part_bytes=len(data), parts=1
    )
    video = video_record(source=source)
    await content.put(f"{video.id}/{source.part_file(0)}", data)
    return video


@pytest.mark.parametrize(("b_frames", "pieces"), [(3, 1), (0, 2)])
async def test_avi_is_cut_unless_nothing_but_decoding_tells_when_its_pictures_are_shown(
    b_frames: int, pieces: int, content: ContentStore, preparing: Preparing, source_folder: Path
):
    video = (*x264("-g", "50"), "-bf", str(b_frames))
    recipe = film(f"{b_frames}_b_frames", suffix="avi", video=video, audio=_PCM)
    stored = await uploaded(content, recipe.make(source_folder))
    async with preparing() as preparation:
        plan, tasks = await preparation.plan(stored, workers=1)
    assert plan.remuxed is not None
    assert await content.stat(f"{stored.id}/{plan.remuxed.part_file(0)}")
    assert (plan.counted is not None) == (b_frames > 0)
    assert plan.frames == 225
    assert len({task.piece.first_frame for task in tasks if task.piece}) == pieces


async def test_what_is_cut_as_it_is_is_not_written_anew(
    content: ContentStore, preparing: Preparing, source_folder: Path
):
    stored = await uploaded(content, film("plain").make(source_folder))
    async with preparing() as preparation:
        plan, _ = await preparation.plan(stored, workers=1)
    assert (plan.remuxed, plan.counted, plan.surveyed) == (None, None, True)


async def test_what_has_no_room_now_waits_and_nothing_is_begun(
    content: ContentStore, preparing: Preparing, source_folder: Path
):
    stored = await uploaded(content, film("h264", suffix="ts").make(source_folder))
    async with preparing(room_bytes=64 << 20) as preparation:
        with pytest.raises(OutOfSpaceError, match="MiB free"):
            await preparation.plan(stored, workers=1)


async def test_what_fits_on_no_workers_disk_fails_and_says_how_much_it_takes(
    content: ContentStore, preparing: Preparing, announce: Announce, source_folder: Path
):
    stored = await uploaded(content, film("h264", suffix="ts").make(source_folder))
    await announce("worker-1", 1 << 20)
    async with preparing(room_bytes=1 << 20) as preparation:
        with pytest.raises(PermanentJobError, match=r"takes up to 0\.02 GB"):
            await preparation.plan(stored, workers=1)


@pytest.mark.parametrize("room_bytes", [1 << 30, None], ids=["a larger disk", "an older version"])
async def test_what_may_fit_on_another_workers_disk_waits_for_it(
    room_bytes: int | None,
    content: ContentStore,
    preparing: Preparing,
    announce: Announce,
    source_folder: Path,
):
    stored = await uploaded(content, film("h264", suffix="ts").make(source_folder))
    await announce("worker-1", 1 << 20)
    await announce("worker-2", room_bytes)
    async with preparing(room_bytes=1 << 20) as preparation:
        with pytest.raises(OutOfSpaceError, match="MiB free"):
            await preparation.plan(stored, workers=1)
