"""The web service as a process: `python -m services.web`. Its composition root."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial

from services.admin.admin import Admin
from services.admin.files.findings import Graces
from services.admin.jobs.desk import JobDesk
from services.admin.jobs.servicer import jobs_service
from services.admin.membership.coordinator import Coordinator
from services.admin.server import admin_server
from services.admin.status import cluster_status
from services.shared import lifecycle, service
from services.shared.broker import Broker
from services.shared.content import ContentStore
from services.shared.errors import UnavailableError
from services.shared.etcd import EtcdClient
from services.shared.messages import FIRST_QUEUE
from services.shared.settings import WebSettings
from services.shared.sockets import listen
from services.shared.topology import Topology
from services.web.announcement import sweep_uploads
from services.web.app import Backing, WebApp
from services.web.health import Check
from services.web.server import HttpServer
from services.web.tus.expiry import expire_uploads

log = logging.getLogger("services.web")


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What every part of the process works with."""

    etcd: EtcdClient
    topology: Topology
    store: ContentStore
    broker: Broker


async def serve(settings: WebSettings, stop: asyncio.Event) -> None:
    """Be a web process until `stop` is set. Backing services may come and go: what needs them says so.

    Raises:
        TritonTubeError: it cannot start, or a part of it died.
    """
    async with AsyncExitStack() as resources:
        listener = resources.enter_context(listen(settings.listen))
        parts = await _opened(settings, resources)
        admin = await resources.enter_async_context(_admin(settings, parts))
        if settings.admin_listen:
            jobs = jobs_service(JobDesk(parts.etcd, parts.broker))
            await resources.enter_async_context(admin_server(settings.admin_listen, admin, jobs))
        app = _app(settings, parts, admin)
        async with lifecycle.background(
            _coordinator(settings, parts).run(),
            admin.work(parts.broker),
            app.newsroom.run(parts.broker, instance=settings.instance),
            app.graveyard.run(),
            app.audience.run(),
            sweep_uploads(app.catalog),
            expire_uploads(app.resumables, lifetime_s=settings.upload_lifetime_s),
        ):
            await _serve_http(app, listener, settings, stop)


async def _opened(settings: WebSettings, resources: AsyncExitStack) -> _Parts:
    etcd = await resources.enter_async_context(EtcdClient.configured(settings))
    topology = await resources.enter_async_context(Topology.follow(etcd))
    memory_bytes = settings.max_concurrent_uploads * settings.part_bytes
    store = await resources.enter_async_context(ContentStore.connect(topology, memory_bytes=memory_bytes))
    broker = await resources.enter_async_context(
        Broker.connect(settings.amqp_url, app_id="web", instance=settings.instance, connect_timeout_s=None)
    )
    return _Parts(etcd=etcd, topology=topology, store=store, broker=broker)


def _admin(settings: WebSettings, parts: _Parts) -> AbstractAsyncContextManager[Admin]:
    return Admin.follow(
        parts.etcd,
        parts.topology,
        dead_after_s=settings.dead_after_s,
        graces=Graces(orphan_s=settings.orphan_grace_s),
    )


def _coordinator(settings: WebSettings, parts: _Parts) -> Coordinator:
    return Coordinator(
        parts.etcd,
        parts.topology,
        replicas=settings.replicas,
        bootstrap_nodes=settings.bootstrap_nodes,
        orphan_grace_s=settings.orphan_grace_s,
    )


def _app(settings: WebSettings, parts: _Parts, admin: Admin) -> WebApp:
    return WebApp(
        Backing(
            settings=settings,
            etcd=parts.etcd,
            store=parts.store,
            broker=parts.broker,
            status=partial(cluster_status, admin),
            checks=_checks(parts),
        )
    )


async def _serve_http(
    app: WebApp, listener: socket.socket, settings: WebSettings, stop: asyncio.Event
) -> None:
    log.info("serving http://%s", settings.listen)
    server = HttpServer(app, listener, on_stop=app.stop)
    await server.run(stop, drain_timeout_s=settings.drain_timeout_s)


def _checks(parts: _Parts) -> dict[str, Check]:
    async def etcd_answers() -> None:
        await parts.etcd.get("videos/")

    async def ring_takes_files() -> None:
        view = parts.topology.view
        if len(view.up) < view.state.write_quorum:
            raise UnavailableError(f"Only {len(view.up)} of {len(view.state.nodes)} storage nodes are live.")

    async def broker_answers() -> None:
        await parts.broker.depth(FIRST_QUEUE)

    return {"etcd": etcd_answers, "ring": ring_takes_files, "broker": broker_answers}


if __name__ == "__main__":
    sys.exit(service.main(WebSettings, serve, name="services.web"))
