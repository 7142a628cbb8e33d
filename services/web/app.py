"""The web application, assembled: which path is answered by what, and how errors are told."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from services.shared import webvtt
from services.shared.broker import Broker
from services.shared.catalog import Catalog, Restorations, Resumables, Verifications, WorkBook
from services.shared.content import ContentStore
from services.shared.dispatch import Dispatcher
from services.shared.errors import TritonTubeError
from services.shared.etcd import EtcdClient
from services.shared.settings import WebSettings
from services.web import ringfiles
from services.web.api import VideoApi
from services.web.assets import Assets
from services.web.audience import Audience
from services.web.cache import ContentCache
from services.web.captions import CaptionsApi
from services.web.description import Described
from services.web.download import Downloads
from services.web.graveyard import Graveyard
from services.web.guard import MAX_BODY_BYTES, Guard
from services.web.health import Check, Health
from services.web.herald import Herald
from services.web.live import Live
from services.web.lookout import Lookout, Status
from services.web.manifests import Manifests
from services.web.negotiation import prefers_html
from services.web.news import Newsroom
from services.web.pages import Pages
from services.web.patience import Patience
from services.web.playback import PREFIX, Playback
from services.web.problems import MEDIA_TYPE, Problem, problem_of, problem_of_form
from services.web.server import App, Receive, Scope, Send
from services.web.slots import Slots
from services.web.tus.receiver import Receiver
from services.web.tus.routes import ResumableUploads
from services.web.uploads import Uploads
from services.web.verification import VerificationApi

log = logging.getLogger(__name__)

_UPLOAD_PATH: Final = re.compile(r"/upload|/uploads(/.*)?")
_CAPTIONS_PATH: Final = re.compile(r"/api/videos/[^/]+/captions/[^/]+")
_JSON_PATHS: Final = ("/api/", "/openapi.json")
_SENTENCES: Final = {
    404: "There is nothing at this address.",
    405: "This address does not take requests of this kind.",
}
_DESCRIPTION: Final = "Self-hosted video on demand. Errors are problem details of RFC 9457."


@dataclass(frozen=True, kw_only=True)
class Backing:
    """What the application stands on."""

    settings: WebSettings
    etcd: EtcdClient
    store: ContentStore
    broker: Broker
    status: Status
    """Asks how the storage cluster is."""
    checks: Mapping[str, Check]
    """What has to be there for this process to be ready, by name."""


class WebApp:
    """All of the HTTP interface; an ASGI application."""

    def __init__(self, backing: Backing) -> None:
        self.catalog = Catalog(backing.etcd)
        self.resumables = Resumables(backing.etcd, lifetime_s=backing.settings.upload_lifetime_s)
        files = ringfiles.RingFiles(backing.store)
        self.graveyard = Graveyard(backing.etcd, on_burial=lambda video_id: self._forget(video_id, True))
        self._cache = ContentCache(
            limit_bytes=backing.settings.cache_bytes, load=self.graveyard.guarding(files.load)
        )
        book, dispatcher = WorkBook(backing.etcd), Dispatcher(backing.broker)
        self.audience = Audience(catalog=self.catalog, book=book, dispatcher=dispatcher)
        self._manifests = Manifests(
            catalog=self.catalog, book=book, cache=self._cache, on_live=self.audience.seen
        )
        self.newsroom = Newsroom(self.catalog, on_hint=self._forget)
        patience = Patience(self._cache, self._manifests.promises)
        self._downloads = Downloads(catalog=self.catalog, book=book, store=backing.store)
        self._playback = Playback(
            file=patience.get,
            stream=files.stream,
            manifest=self._manifests.get,
            download=self._downloads.find,
        )
        self._stopping = asyncio.Event()
        self._other: App = self._assemble(backing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: content on the short way, all else through FastAPI."""
        is_content = scope["type"] == "http" and scope["path"].startswith(PREFIX)
        await (self._playback if is_content else self._other)(scope, receive, send)

    def _assemble(self, backing: Backing) -> FastAPI:
        herald = Herald(Dispatcher(backing.broker), hint=self.newsroom.hint)
        assets = Assets()
        api = Described(
            title="TritonTube",
            description=_DESCRIPTION,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        health = Health(backing.checks)
        lookout = Lookout(backing.status, health)
        pages = Pages(
            backing.settings, catalog=self.catalog, assets=assets, lookout=lookout, openapi=api.openapi
        )
        parts = (
            *self._uploads(backing, herald),
            VideoApi(catalog=self.catalog, restorations=Restorations(backing.etcd), herald=herald),
            VerificationApi(catalog=self.catalog, verifications=Verifications(backing.etcd)),
            CaptionsApi(catalog=self.catalog, store=backing.store, herald=herald),
            Live(catalog=self.catalog, newsroom=self.newsroom),
            health,
            lookout,
            pages,
            assets,
        )
        for part in parts:
            api.include_router(part.router)
        api.add_middleware(Guard, body_limit=_body_limit)
        _explain_errors(api, pages)
        return api

    def _uploads(self, backing: Backing, herald: Herald) -> tuple[Uploads, ResumableUploads]:
        settings, store, slots = (
            backing.settings,
            backing.store,
            Slots(backing.settings.max_concurrent_uploads),
        )
        once = Uploads(
            settings, etcd=backing.etcd, catalog=self.catalog, store=store, herald=herald, slots=slots
        )
        receiver = Receiver(
            settings,
            resumables=self.resumables,
            store=store,
            herald=herald,
            slots=slots,
            stopping=self._stopping,
        )
        resumable = ResumableUploads(
            settings, catalog=self.catalog, resumables=self.resumables, receiver=receiver
        )
        return once, resumable

    def stop(self) -> None:
        """Let those requests end that would go on for as long as their clients like."""
        self._stopping.set()
        self.newsroom.close()

    def _forget(self, video_id: str, gone: bool) -> None:  # noqa: FBT001 - a plain callback
        """Let go of what is known of a video that something happened to."""
        if not gone:
            self._manifests.refresh(video_id)
            return
        self._manifests.forget(video_id)
        self._cache.forget(f"{video_id}/")
        self._downloads.forget(video_id)


def _body_limit(path: str) -> int | None:
    """How large a body may be that is sent to a path; None: as large as it likes."""
    if _UPLOAD_PATH.fullmatch(path):
        return None
    return webvtt.MAX_BYTES if _CAPTIONS_PATH.fullmatch(path) else MAX_BODY_BYTES


def _explain_errors(api: FastAPI, pages: Pages) -> None:
    """Answer every error with a problem: a page for people, JSON for programs."""

    def answer(request: Request, problem: Problem) -> Response:
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("%s %s: %d: %s", request.method, request.url.path, problem.status, problem.detail)
        is_page = not request.url.path.startswith(_JSON_PATHS)
        if is_page and prefers_html(request.headers.get("accept", "")):
            return pages.problem(problem)
        return Response(
            problem.encode(), int(problem.status), headers=dict(problem.headers), media_type=MEDIA_TYPE
        )

    async def on_own(request: Request, error: Exception) -> Response:
        assert isinstance(error, TritonTubeError)
        return answer(request, problem_of(error))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        return answer(request, Problem(status=status, detail=_sentence(error), headers=error.headers or {}))

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, problem_of_form(error.errors()))

    async def on_bug(request: Request, _: Exception) -> Response:
        detail = "Something went wrong here that should not; the log of this server has the details."
        return answer(request, Problem(status=HTTPStatus.INTERNAL_SERVER_ERROR, detail=detail))

    api.add_exception_handler(TritonTubeError, on_own)
    api.add_exception_handler(HTTPException, on_http)
    api.add_exception_handler(RequestValidationError, on_invalid)
    api.add_exception_handler(Exception, on_bug)


def _sentence(error: HTTPException) -> str:
    """Ours, where the framework has only a phrase."""
    return _SENTENCES.get(error.status_code, str(error.detail))
