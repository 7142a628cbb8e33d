"""A survey whose source breaks off in the middle: what was read of it is not taken for all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.shared.broker import Broker
from services.shared.catalog import Catalog, WorkBook, keys
from services.shared.content import ContentStore
from services.shared.dispatch import Dispatcher
from services.shared.errors import UnavailableError
from services.shared.filenames import source_part_file
from services.shared.task import TaskKind, stamped
from services.shared.video import Source, Status
from services.transcoder.command import Input
from services.transcoder.feed import SourceFeed
from services.transcoder.opening import opening_tasks
from services.transcoder.probe import inspect
from services.transcoder.process import Limits
from services.transcoder.sketch import sketch
from services.transcoder.streams import Bounds
from services.transcoder.survey import Surveyor
from services.transcoder.timeline import make_plan
from tests.harness.rabbitmq import VirtualHost
from tests.harness.sources import Recipe
from tests.harness.storage import StorageCluster
from tests.harness.videos import video_record

LIMITS = Limits(wall_s=60)
FILM = Recipe(
    name="minute", suffix="mkv", size="160x120", rate="10", duration_s=64, sound="sine=frequency=330"
)


@pytest.mark.parametrize("broken", [True, False], ids=["broken off", "whole"])
async def test_a_source_that_breaks_off_while_it_is_surveyed_leaves_the_plan_as_it_was(
    storage: StorageCluster, content: ContentStore, vhost: VirtualHost, source_folder: Path, *, broken: bool
):
    path = FILM.make(source_folder)
    data = path.read_bytes()
    part_bytes = 1 << 20  # what the feed asks for at a time
    source = Source(
        size_bytes=len(data), sha256="0" * 64, part_bytes=part_bytes, parts=-(-len(data) // part_bytes)
    )
    video = video_record(status=Status.PROCESSING, source=source)
    # A part that nobody ever stored stands for one that the ring cannot deliver.
    for number in range(1 if broken else source.parts):
        part = data[number * part_bytes : (number + 1) * part_bytes]
        await content.put(f"{video.id}/{source_part_file(number)}", part)
    given = Input(location=str(path))
    sketched = await sketch(given, await inspect(given), bounds=Bounds(), limits=LIMITS)
    assert sketched
    plan = make_plan(sketched, generation=0, encoder="x").model_copy(update={"surveyed": False})
    catalog, book = Catalog(storage.client), WorkBook(storage.client)
    await storage.client.put(keys.video(video.id), video.encode())
    await book.write_plan(video.id, plan, stamped(opening_tasks(plan, sketched.video), now_ms=1))
    [survey] = [task for task in await book.tasks(video.id, 0) if task.kind is TaskKind.SURVEY]
    async with (
        storage.client.lease(60) as lease,
        Broker.connect(vhost.url, app_id="transcoder", instance="w") as broker,
        SourceFeed.start(content, cache_bytes=8 << 20) as feed,
        feed.offer(video.id, source) as offered,
    ):
        surveyor = Surveyor(
            catalog=catalog, book=book, dispatcher=Dispatcher(broker), bounds=Bounds(), limits=LIMITS
        )
        claim = await book.claim(video.id, 0, survey.name, worker="w", lease_id=lease.id)
        before = await book.tasks(video.id, 0)
        look = surveyor.survey(video, plan, claim, Input(location=offered.url), check=offered.check)
        if not broken:
            await look
            assert (await book.plan(video.id, 0) or plan).surveyed
            return
        with pytest.raises(UnavailableError, match="could not be read"):
            await look
    assert await book.plan(video.id, 0) == plan
    assert await book.tasks(video.id, 0) == before
