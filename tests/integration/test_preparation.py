"""From a stored original to a plan: whether it has to be remuxed, how it is cut, and what resists."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.shared.content import ContentStore
from services.shared.errors import OutOfSpaceError
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


@asynccontextmanager
async def preparing(
    content: ContentStore, folder: Path, *, reserve_bytes: int = 0
) -> AsyncIterator[Preparation]:
    async with SourceFeed.start(content, cache_bytes=CACHE_BYTES) as feed:
        with scratch(folder, "worker-1", reserve_bytes=reserve_bytes) as own:
            yield Preparation(
                content=content,
                feed=feed,
                scratch=own,
                settings=TranscoderSettings(),
                encoders=await Encoders.find(),
                ladder=H264,
                limits=Limits(wall_s=120),
            )


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
    b_frames: int, pieces: int, content: ContentStore, source_folder: Path, tmp_path: Path
):
    video = (*x264("-g", "50"), "-bf", str(b_frames))
    recipe = film(f"{b_frames}_b_frames", suffix="avi", video=video, audio=_PCM)
    stored = await uploaded(content, recipe.make(source_folder))
    async with preparing(content, tmp_path) as preparation:
        plan, tasks = await preparation.plan(stored, workers=1)
    assert plan.remuxed is not None
    assert await content.stat(f"{stored.id}/{plan.remuxed.part_file(0)}")
    assert (plan.counted is not None) == (b_frames > 0)
    assert plan.frames == 225
    assert len({task.piece.first_frame for task in tasks if task.piece}) == pieces


async def test_what_is_cut_as_it_is_is_not_written_anew(
    content: ContentStore, source_folder: Path, tmp_path: Path
):
    stored = await uploaded(content, film("plain").make(source_folder))
    async with preparing(content, tmp_path) as preparation:
        plan, _ = await preparation.plan(stored, workers=1)
    assert (plan.remuxed, plan.counted, plan.surveyed) == (None, None, True)


async def test_without_room_for_a_remuxed_copy_nothing_is_begun(
    content: ContentStore, source_folder: Path, tmp_path: Path
):
    stored = await uploaded(content, film("h264", suffix="ts").make(source_folder))
    async with preparing(content, tmp_path, reserve_bytes=1 << 62) as preparation:
        with pytest.raises(OutOfSpaceError, match="MiB free"):
            await preparation.plan(stored, workers=1)
