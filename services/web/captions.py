"""`/api/videos/{id}/captions`: giving a video captions, and taking them away, whenever in its life."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from python_multipart.multipart import parse_options_header

from services.shared import webvtt
from services.shared.captions import Caption, Captioning, caption_name, given_file, given_track
from services.shared.catalog import Catalog, now_ms
from services.shared.content import ContentStore
from services.shared.errors import ConflictError
from services.shared.languages import language_name
from services.shared.video import Video
from services.web.description import failing
from services.web.herald import Herald
from services.web.titles import check_title
from services.web.views import CaptionView

_TOKEN_BYTES: Final = 4
_MILLISECONDS: Final = 1000
_UNNAMED: Final = "Captions"
_OPENAPI: Final = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "description": what}}
            for kind, what in (("text/vtt", "WebVTT"), ("application/x-subrip", "SubRip"))
        },
    }
}

Title = Annotated[str, Query(description="what menus call them; else the language's own name")]


class CaptionsApi:
    """Changes what captions videos are offered with."""

    def __init__(self, *, catalog: Catalog, store: ContentStore, herald: Herald) -> None:
        self._catalog = catalog
        self._store = store
        self._herald = herald
        self.router = APIRouter(prefix="/api/videos/{video_id}/captions", tags=["captions"])
        put = {201: {}, **failing(400, 403, 404, 409, 413, 415, 503, 507)}
        removed = failing(400, 403, 404, 409, 503)
        self.router.add_api_route("/{name}", self.put, methods=["PUT"], openapi_extra=_OPENAPI, responses=put)
        self.router.add_api_route(
            "/{name}", self.remove, methods=["DELETE"], status_code=204, responses=removed
        )

    async def put(
        self, video_id: str, name: str, request: Request, response: Response, title: Title = ""
    ) -> CaptionView:
        """Give a video captions, in place of those of that name.

        They are named after their language (`en`, `pt-BR`), or `en.2` for a second track in it. The body is a
        WebVTT or SubRip file of at most 2 MiB, in UTF-8 unless its Content-Type names another charset. Only
        what it says is kept: no styles, no notes.
        """
        name, language = caption_name(name)
        title = check_title(title) if title else (language_name(language) or _UNNAMED)
        before = _willing(await self._catalog.get(video_id))
        lasts_ms = round(before.duration_s * _MILLISECONDS) if before.duration_s else 0
        text = await asyncio.to_thread(_cleaned, await request.body(), _charset(request), lasts_ms)
        caption = _caption(name, language, title, len(text), edition=before.captions.edition + 1)
        await self._store.put(f"{video_id}/{caption.file}", text)
        await self._change(video_id, lambda captions: captions.put(caption))
        if all(known.name != name for known in before.captions.offered):
            response.status_code = 201
        return CaptionView.of(caption, video_id)

    async def remove(self, video_id: str, name: str) -> None:
        """Take captions away from a video, also those that were found in its original."""
        name, _ = caption_name(name)
        await self._change(video_id, lambda captions: captions.removed(name))

    async def _change(self, video_id: str, decide: Callable[[Captioning], Captioning]) -> None:
        def changed(video: Video) -> Video:
            captions = decide(_willing(video).captions)
            return video.model_copy(update={"captions": captions, "updated_at_ms": now_ms()})

        await self._herald.changed(await self._catalog.change(video_id, changed))


def _willing(video: Video) -> Video:
    if video.refused:
        raise ConflictError("This file is no video that can be played: captions would be of no use.")
    return video


def _cleaned(data: bytes, charset: str, lasts_ms: int) -> bytes:
    return webvtt.written(webvtt.parse(webvtt.decoded(data, charset=charset)), lasts_ms=lasts_ms)


def _charset(request: Request) -> str:
    _, options = parse_options_header(request.headers.get("content-type", ""))
    return options.get(b"charset", b"utf-8").decode("latin-1")


def _caption(name: str, language: str, title: str, size_bytes: int, *, edition: int) -> Caption:
    track = given_track(edition, secrets.token_hex(_TOKEN_BYTES))
    return Caption(
        name=name, language=language, title=title, track=track, file=given_file(track), size_bytes=size_bytes
    )
