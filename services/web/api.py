"""`/api/videos`: the catalogue as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from services.shared.catalog import Catalog, Restorations
from services.web.description import failing
from services.web.herald import Herald
from services.web.reading import add_reading
from services.web.titles import check_title
from services.web.views import VideoPageView, VideoView

_DEFAULT_LIMIT: Final = 24
_MAX_LIMIT: Final = 100
_MAX_TEXT: Final = 200

Limit = Annotated[int, Query(ge=1, le=_MAX_LIMIT, description="how many at most")]
Before = Annotated[str | None, Query(description="continue a list: the `next` of the page before")]
Text = Annotated[str, Query(max_length=_MAX_TEXT, description="only videos whose title contains this")]


class TitleChange(BaseModel):
    """What can be changed of a video."""

    title: str = Field(description="free text of at most 200 characters, on one line")


class VideoApi:
    """Listing, reading and changing videos."""

    def __init__(self, *, catalog: Catalog, restorations: Restorations, herald: Herald) -> None:
        self._catalog = catalog
        self._restorations = restorations
        self._herald = herald
        self.router = APIRouter(prefix="/api/videos", tags=["videos"])
        add_reading(self.router, "", self.page, responses=failing(400, 503))
        add_reading(self.router, "/{video_id}", self.get, responses=failing(404, 503))
        self._change("", self.rename, "PATCH", responses=failing(400, 403, 404, 413, 503))
        self._change("", self.delete, "DELETE", status_code=204, responses=failing(403, 404, 503))
        self._change("/retry", self.retry, "POST", responses=failing(403, 404, 409, 503))
        self._change("/cancel", self.cancel, "POST", responses=failing(403, 404, 409, 503))

    async def page(self, limit: Limit = _DEFAULT_LIMIT, before: Before = None, q: Text = "") -> VideoPageView:
        """Videos, newest first."""
        videos, following = await self._catalog.page(limit=limit, before=before, text=q)
        return VideoPageView(videos=tuple(map(VideoView.of, videos)), next=following)

    async def get(self, video_id: str) -> VideoView:
        """One video."""
        return VideoView.of(await self._catalog.get(video_id))

    async def rename(self, video_id: str, change: TitleChange) -> VideoView:
        """Give a video another title."""
        video = await self._catalog.rename(video_id, check_title(change.title))
        await self._herald.changed(video)
        return VideoView.of(video)

    async def delete(self, video_id: str) -> None:
        """Delete a video with all its files. What is still being encoded of it stops."""
        video = await self._catalog.delete(video_id)
        await self._herald.deleted(video)

    async def retry(self, video_id: str) -> VideoView:
        """Process a failed video again from its original."""
        video = await self._catalog.retry(video_id)
        await self._herald.submit(video)
        return VideoView.of(video)

    async def cancel(self, video_id: str) -> VideoView:
        """Stop processing a video. It keeps its original, and can be processed again.

        One that is ready stays as it is: only a quality or sound track is no longer made again.
        """
        video = await self._restorations.cancel(video_id) or await self._catalog.cancel(video_id)
        await self._herald.cancelled(video)
        return VideoView.of(video)

    def _change(self, step: str, endpoint: Callable[..., Any], method: str, **described: Any) -> None:
        self.router.add_api_route(f"/{{video_id}}{step}", endpoint, methods=[method], **described)
