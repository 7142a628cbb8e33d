"""Server-sent events: pages follow videos without asking again and again."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from services.shared.catalog import Catalog
from services.web.description import failing
from services.web.news import Change, Newsroom, Subscriber
from services.web.reading import add_reading
from services.web.views import VideoView

_HEARTBEAT_S: Final = 15.0
"""Proxies close connections on which nothing happens, often after a minute."""

_HEARTBEAT: Final = ": still here\n\n"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {}}, "description": "`video` and `deleted` events"}
}


class Live:
    """The event streams of all videos and of one."""

    def __init__(self, *, catalog: Catalog, newsroom: Newsroom) -> None:
        self._catalog = catalog
        self._newsroom = newsroom
        self.router = APIRouter(tags=["events"])
        self._route("/api/events", self.all_videos, 503)
        self._route("/api/videos/{video_id}/events", self.one_video, 404, 503)

    async def all_videos(self) -> Response:
        """Every change of any video: event `video` with its new record, or `deleted` with its id."""
        return _Stream(self._newsroom)

    async def one_video(self, video_id: str) -> Response:
        """The record of one video, at once and after every change."""
        return _Stream(self._newsroom, VideoView.of(await self._catalog.get(video_id)))

    def _route(self, path: str, endpoint: Callable[..., Any], *failures: int) -> None:
        responses = _STREAM | failing(*failures)
        add_reading(self.router, path, endpoint, response_class=StreamingResponse, responses=responses)


class _Stream(Response):
    """Sends news of all videos, or of one and what it is at first, for as long as somebody listens."""

    def __init__(self, newsroom: Newsroom, first: VideoView | None = None) -> None:
        super().__init__()
        self._newsroom = newsroom
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it.

        Raises:
            UnavailableError: too many listen already; nothing has been sent.
        """
        if scope["method"] == "HEAD":
            await _streamed(())(scope, receive, send)
            return
        with self._newsroom.subscribe(self._first.id if self._first else None) as subscriber:
            await _streamed(_events(subscriber, self._first))(scope, receive, send)


def _streamed(events: AsyncGenerator[str, None] | tuple[()]) -> StreamingResponse:
    return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)


async def _events(subscriber: Subscriber, first: VideoView | None) -> AsyncGenerator[str, None]:
    # Sent at once in any case: the page learns that it is connected.
    yield _event(first.id, first) if first else _HEARTBEAT
    while not subscriber.closed:
        changes = await subscriber.next(_HEARTBEAT_S)
        yield "".join(_event(*change) for change in changes.items()) or _HEARTBEAT


def _event(video_id: str, change: Change) -> str:
    if change is None:
        return f"event: deleted\ndata: {json.dumps({'id': video_id})}\n\n"
    return f"event: video\ndata: {change.model_dump_json()}\n\n"
