"""A transcoder worker as a process: `python -m services.transcoder`, set up by its environment.

The composition root: every resource is opened here and handed down.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from services.shared import lifecycle, service
from services.shared.broker import Broker, JobConsumer
from services.shared.catalog import Catalog, Starts, WorkBook
from services.shared.content import ContentStore
from services.shared.dispatch import Dispatcher
from services.shared.etcd import EtcdClient
from services.shared.settings import TranscoderSettings
from services.shared.topology import Topology
from services.transcoder.concession import Concessions
from services.transcoder.feed import SourceFeed
from services.transcoder.planner import Planner
from services.transcoder.prepare import Preparation
from services.transcoder.process import Limits, encoder_identity
from services.transcoder.progress import Progress
from services.transcoder.runner import TaskRunner
from services.transcoder.scratch import Scratch, scratch
from services.transcoder.session import Session
from services.transcoder.sweeper import Sweeper
from services.transcoder.vigil import Vigil
from services.transcoder.worker import Worker

log = logging.getLogger("services.transcoder")


async def serve(settings: TranscoderSettings, stop: asyncio.Event) -> None:
    """Work until `stop` is set.

    Raises:
        TritonTubeError: it cannot start, or a part of it died.
    """
    encoder = await encoder_identity()
    with scratch(settings.work_dir, settings.instance, reserve_bytes=settings.work_reserve_bytes) as folder:
        async with (
            EtcdClient.configured(settings) as etcd,
            Topology.follow(etcd) as topology,
            ContentStore.connect(topology) as content,
            Broker.connect(settings.amqp_url, app_id="transcoder", instance=settings.instance) as broker,
            SourceFeed.start(content, cache_bytes=settings.source_cache_bytes) as feed,
        ):
            await _work(
                settings,
                stop,
                etcd=etcd,
                content=content,
                broker=broker,
                feed=feed,
                folder=folder,
                encoder=encoder,
            )


async def _work(
    settings: TranscoderSettings,
    stop: asyncio.Event,
    *,
    etcd: EtcdClient,
    content: ContentStore,
    broker: Broker,
    feed: SourceFeed,
    folder: Scratch,
    encoder: str,
) -> None:
    catalog, book, dispatcher = Catalog(etcd), WorkBook(etcd), Dispatcher(broker)
    progress = Progress(catalog=catalog, book=book, content=content, dispatcher=dispatcher)
    limits = _limits(settings)
    preparation = Preparation(
        content=content, feed=feed, scratch=folder, settings=settings, encoder=encoder, limits=limits
    )
    vigil = Vigil(etcd)
    sweeper = Sweeper(
        catalog=catalog,
        book=book,
        broker=broker,
        dispatcher=dispatcher,
        progress=progress,
        interval_s=settings.sweep_interval_s,
        unserved_after_s=settings.unserved_after_s,
    )
    async with Session.open(etcd, book, instance=settings.instance) as session:
        planner = Planner(
            catalog=catalog,
            book=book,
            dispatcher=dispatcher,
            preparation=preparation,
            session=session,
            vigil=vigil,
        )
        runner = TaskRunner(
            catalog=catalog,
            book=book,
            content=content,
            dispatcher=dispatcher,
            progress=progress,
            feed=feed,
            session=session,
            vigil=vigil,
            encoder=encoder,
            limits=limits,
        )
        worker = Worker(
            instance=settings.instance,
            catalog=catalog,
            starts=Starts(etcd),
            dispatcher=dispatcher,
            planner=planner,
            runner=runner,
            concessions=Concessions(catalog=catalog, book=book, dispatcher=dispatcher, progress=progress),
            max_attempts=settings.max_attempts,
        )
        consumer = JobConsumer(
            broker,
            handle=worker.handle,
            on_control=worker.control,
            on_dead=worker.give_up,
            max_attempts=settings.max_attempts,
        )
        async with lifecycle.background(sweeper.run()):
            log.info("ready for jobs")
            await lifecycle.drained(consumer.run(stop), stop, timeout_s=settings.drain_timeout_s)


def _limits(settings: TranscoderSettings) -> Limits:
    """Bounds of every ffmpeg. Its encoder is single-threaded, its decoder and filters may not be."""
    return Limits(
        wall_s=settings.job_timeout_s,
        silence_s=settings.stall_timeout_s,
        cpu_s=int(settings.job_timeout_s * (os.cpu_count() or 1)),
    )


if __name__ == "__main__":
    sys.exit(service.main(TranscoderSettings, serve, name="services.transcoder"))
