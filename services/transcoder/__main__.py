"""A transcoder worker as a process: `python -m services.transcoder`, set up by its environment.

The composition root: every resource is opened here and handed down.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from dataclasses import dataclass
from functools import cached_property

from services.shared import lifecycle, service
from services.shared.broker import Broker, JobConsumer
from services.shared.catalog import Catalog, Originals, Restorations, Starts, Verifications, WorkBook
from services.shared.content import ContentStore
from services.shared.content.channels import Channels
from services.shared.content.holders import Holders
from services.shared.dispatch import Dispatcher
from services.shared.etcd import EtcdClient
from services.shared.settings import TranscoderSettings
from services.shared.topology import Topology
from services.transcoder.aside import Aside
from services.transcoder.concession import Concessions
from services.transcoder.encoders import Encoders
from services.transcoder.feed import SourceFeed
from services.transcoder.ladder import Ladder
from services.transcoder.ladders import load_ladder
from services.transcoder.planner import Planner
from services.transcoder.prepare import Preparation, bounds_of
from services.transcoder.process import Limits
from services.transcoder.progress import Progress
from services.transcoder.runner import TaskRunner
from services.transcoder.sandbox import Sandbox, sandbox
from services.transcoder.scratch import Scratch, scratch
from services.transcoder.session import Session
from services.transcoder.solo import Solo
from services.transcoder.survey import Surveyor
from services.transcoder.sweeper import Sweeper
from services.transcoder.verification.verifier import Verifier
from services.transcoder.vigil import Vigil
from services.transcoder.worker import Worker

log = logging.getLogger("services.transcoder")


async def serve(settings: TranscoderSettings, stop: asyncio.Event) -> None:
    """Work until `stop` is set.

    Raises:
        TritonTubeError: it cannot start, or a part of it died.
    """
    ladder = load_ladder(settings.ladder, per_title=settings.per_title)
    with (
        scratch(settings.work_dir, settings.instance, reserve_bytes=settings.work_reserve_bytes) as folder,
        sandbox(settings.sandbox, readable=settings.sandbox_readable) as box,
    ):
        encoders = await Encoders.find(box)
        encoder = await encoders.identity(ladder.profiles)  # a machine that can't encode it says so now
        listener = box.network.listener if box.network else None
        async with (
            EtcdClient.configured(settings) as etcd,
            Topology.follow(etcd) as topology,
            ContentStore.connect(topology) as content,
            Channels.over(topology) as channels,
            Broker.connect(settings.amqp_url, app_id="transcoder", instance=settings.instance) as broker,
            SourceFeed.start(content, cache_bytes=settings.source_cache_bytes, listener=listener) as feed,
        ):
            tools = _Tools(
                settings=settings,
                etcd=etcd,
                topology=topology,
                holders=Holders(channels),
                content=content,
                broker=broker,
                feed=feed,
                scratch=folder,
                sandbox=box,
                encoders=encoders,
                encoder=encoder,
                ladder=ladder,
            )
            await _work(tools, stop)


@dataclass(frozen=True, kw_only=True)
class _Tools:
    """What a worker is made from: the resources, and the thin layers over etcd and the broker."""

    settings: TranscoderSettings
    etcd: EtcdClient
    topology: Topology
    holders: Holders
    content: ContentStore
    broker: Broker
    feed: SourceFeed
    scratch: Scratch
    sandbox: Sandbox
    encoders: Encoders
    encoder: str
    ladder: Ladder

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog(self.etcd)

    @cached_property
    def book(self) -> WorkBook:
        return WorkBook(self.etcd)

    @cached_property
    def verifications(self) -> Verifications:
        return Verifications(self.etcd)

    @cached_property
    def originals(self) -> Originals:
        return Originals(self.etcd)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        return Dispatcher(self.broker)

    @cached_property
    def progress(self) -> Progress:
        return Progress(
            catalog=self.catalog,
            book=self.book,
            content=self.content,
            dispatcher=self.dispatcher,
            verify=self.settings.verify,
        )

    @cached_property
    def vigil(self) -> Vigil:
        return Vigil(self.etcd)


async def _work(tools: _Tools, stop: asyncio.Event) -> None:
    settings = tools.settings
    async with Session.open(
        tools.etcd,
        tools.book,
        instance=settings.instance,
        encoder=tools.encoder,
        room_bytes=tools.scratch.room_bytes,
    ) as session:
        worker = _worker(tools, session)
        consumer = JobConsumer(
            tools.broker,
            handle=worker.handle,
            on_control=worker.control,
            on_dead=worker.give_up,
            on_put_aside=worker.put_aside,
            max_attempts=settings.max_attempts,
        )
        async with lifecycle.background(_sweeper(tools).run()):
            log.info("ready for jobs")
            await lifecycle.drained(consumer.run(stop), stop, timeout_s=settings.drain_timeout_s)


def _worker(tools: _Tools, session: Session) -> Worker:
    runner = _runner(tools, session)
    return Worker(
        instance=tools.settings.instance,
        catalog=tools.catalog,
        starts=Starts(tools.etcd),
        dispatcher=tools.dispatcher,
        planner=_planner(tools, session),
        runner=runner,
        verifier=_verifier(tools, session, runner),
        concessions=Concessions(
            catalog=tools.catalog,
            book=tools.book,
            restorations=Restorations(tools.etcd),
            dispatcher=tools.dispatcher,
            progress=tools.progress,
        ),
        aside=Aside(catalog=tools.catalog, book=tools.book, verifications=tools.verifications),
        max_attempts=tools.settings.max_attempts,
    )


def _solo(tools: _Tools, session: Session) -> Solo:
    return Solo(catalog=tools.catalog, book=tools.book, session=session, vigil=tools.vigil)


def _planner(tools: _Tools, session: Session) -> Planner:
    preparation = Preparation(
        book=tools.book,
        content=tools.content,
        feed=tools.feed,
        scratch=tools.scratch,
        settings=tools.settings,
        encoders=tools.encoders,
        ladder=tools.ladder,
        limits=_limits(tools.settings, tools.sandbox).sooner(),
    )
    return Planner(
        catalog=tools.catalog,
        book=tools.book,
        dispatcher=tools.dispatcher,
        preparation=preparation,
        solo=_solo(tools, session),
    )


def _runner(tools: _Tools, session: Session) -> TaskRunner:
    return TaskRunner(
        catalog=tools.catalog,
        book=tools.book,
        content=tools.content,
        dispatcher=tools.dispatcher,
        progress=tools.progress,
        feed=tools.feed,
        session=session,
        vigil=tools.vigil,
        surveyor=_surveyor(tools),
        encoders=tools.encoders,
        limits=_limits(tools.settings, tools.sandbox),
    )


def _surveyor(tools: _Tools) -> Surveyor:
    return Surveyor(
        catalog=tools.catalog,
        book=tools.book,
        dispatcher=tools.dispatcher,
        bounds=bounds_of(tools.settings),
        limits=_limits(tools.settings, tools.sandbox),
    )


def _verifier(tools: _Tools, session: Session, runner: TaskRunner) -> Verifier:
    return Verifier(
        catalog=tools.catalog,
        book=tools.book,
        verifications=tools.verifications,
        topology=tools.topology,
        holders=tools.holders,
        content=tools.content,
        broker=tools.broker,
        dispatcher=tools.dispatcher,
        progress=tools.progress,
        runner=runner,
        solo=_solo(tools, session),
        limits=_limits(tools.settings, tools.sandbox),
        keep_original=tools.settings.keep_original,
    )


def _sweeper(tools: _Tools) -> Sweeper:
    return Sweeper(
        catalog=tools.catalog,
        book=tools.book,
        verifications=tools.verifications,
        broker=tools.broker,
        dispatcher=tools.dispatcher,
        progress=tools.progress,
        originals=tools.originals,
        interval_s=tools.settings.sweep_interval_s,
        unserved_after_s=tools.settings.unserved_after_s,
    )


def _limits(settings: TranscoderSettings, box: Sandbox) -> Limits:
    """Bounds of every ffmpeg. Its encoder is single-threaded, its decoder and filters may not be."""
    return Limits(
        wall_s=settings.job_timeout_s,
        silence_s=settings.stall_timeout_s,
        cpu_s=settings.job_cpu_s or int(settings.job_timeout_s * (os.cpu_count() or 1)),
        memory_bytes=settings.job_memory_bytes,
        niceness=settings.niceness,
        sandbox=box,
    )


if __name__ == "__main__":
    sys.exit(service.main(TranscoderSettings, serve, name="services.transcoder"))
