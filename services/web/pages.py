"""The pages: library, watching, a bare player. Rendered here, enlivened by a little script."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from services.admin.views.names import farewell
from services.shared.catalog import Catalog
from services.shared.errors import UnavailableError
from services.shared.settings import WebSettings
from services.shared.video import ACTIVE, PLAYABLE, Status, Video
from services.web import ringwords, wording
from services.web.api import Before, Text
from services.web.assets import Assets
from services.web.donut import donut_of
from services.web.lookout import Lookout
from services.web.problems import Problem, problem_of
from services.web.reference import operations_of
from services.web.views import VideoView

_PER_PAGE: Final = 24
_FOLDER: Final = Path(__file__).parent / "templates"
_MILLISECONDS: Final = 1000

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; font-src 'self'; worker-src 'self' blob:; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-src 'self'; frame-ancestors "
)
"""What pages may load: ours only. Inline styles are how templates pass numbers such as progress."""

_HEADERS: Final = {"Cache-Control": "no-cache", "Referrer-Policy": "same-origin"}
_OWN_FRAMES: Final = {**_HEADERS, "Content-Security-Policy": _POLICY + "'self'"}
_ANY_FRAMES: Final = {**_HEADERS, "Content-Security-Policy": _POLICY + "*"}


class Pages:
    """Renders the pages."""

    def __init__(
        self,
        settings: WebSettings,
        *,
        catalog: Catalog,
        assets: Assets,
        lookout: Lookout,
        openapi: Callable[[], dict[str, Any]],
    ) -> None:
        """`openapi` describes the JSON interface; asked for when somebody looks."""
        self._catalog = catalog
        self._lookout = lookout
        self._openapi = openapi
        self._max_upload_bytes = settings.max_upload_bytes
        self._part_bytes = settings.part_bytes
        self._templates = _environment(assets)
        self.router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
        for path, page in (
            ("/", self.library),
            ("/videos/{video_id}", self.watch),
            ("/videos/{video_id}/card", self.card),
            ("/embed/{video_id}", self.embed),
            ("/cluster", self.cluster),
            ("/cluster/state", self.cluster_state),
            ("/docs", self.docs),
        ):
            self.router.add_api_route(path, page, methods=["GET", "HEAD"])

    async def library(self, before: Before = None, q: Text = "") -> HTMLResponse:
        """All videos, newest first, with the form to add one."""
        videos, following = await self._catalog.page(limit=_PER_PAGE, before=before, text=q)
        return self._page(
            "library.html",
            videos=videos,
            query=q,
            first_page=before is None,
            next_url="/?" + urlencode({"q": q, "before": following}) if following else None,
            max_upload_bytes=self._max_upload_bytes,
            part_bytes=self._part_bytes,
        )

    async def watch(self, video_id: str) -> HTMLResponse:
        """One video, to be watched and changed."""
        video = await self._catalog.get(video_id)
        view = VideoView.of(video)
        return self._page("watch.html", video=video, links=view.links, captions=view.captions)

    async def card(self, video_id: str) -> HTMLResponse:
        """One video as it stands in the library, for scripts that put it there."""
        return self._page("card.html", video=await self._catalog.get(video_id))

    async def embed(self, video_id: str) -> HTMLResponse:
        """Nothing but the player, for frames on any site."""
        video = await self._catalog.get(video_id)
        return self._page("embed.html", _ANY_FRAMES, video=video, links=VideoView.of(video).links)

    async def cluster(self) -> HTMLResponse:
        """The storage cluster, and a change of it as it goes on."""
        try:
            return self._page("cluster.html", state=await self._lookout.look(), problem="")
        except UnavailableError as error:
            problem = problem_of(error)
            page = self._page("cluster.html", state=None, problem=problem.detail)
            page.status_code = int(problem.status)
            page.headers.update(problem.headers)
            return page

    async def cluster_state(self) -> HTMLResponse:
        """The parts of that page that change, for the script that puts them there."""
        return self._page("cluster_state.html", state=await self._lookout.look())

    async def docs(self) -> HTMLResponse:
        """The HTTP interface, described."""
        openapi = self._openapi()
        return self._page(
            "docs.html", description=openapi["info"]["description"], groups=operations_of(openapi)
        )

    def problem(self, problem: Problem) -> HTMLResponse:
        """An error, for people."""
        page = self._page("problem.html", problem=problem)
        page.status_code = int(problem.status)
        page.headers.update(problem.headers)
        return page

    def _page(
        self, template: str, headers: Mapping[str, str] = _OWN_FRAMES, **values: object
    ) -> HTMLResponse:
        return HTMLResponse(self._templates.get_template(template).render(values), headers=dict(headers))


def _environment(assets: Assets) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals |= {
        "asset": assets.path,
        "Status": Status,
        "farewell": farewell,
        "ACTIVE": ACTIVE,
        "PLAYABLE": PLAYABLE,
    }
    environment.filters |= {
        "links": lambda video: VideoView.of(video).links,
        "size": wording.size,
        "duration": wording.duration,
        "bitrate": wording.bitrate,
        "percent": "{:.1%}".format,
        "counted": ringwords.count,
        "since": ringwords.since,
        "until": ringwords.until,
        "verdict": ringwords.verdict,
        "is_away": ringwords.is_away,
        "change_title": ringwords.change_title,
        "pace_words": ringwords.pace_words,
        "donut": donut_of,
        "age": _age,
        "hue": _hue,
        "code": _code,
        "state": wording.STATES.get,
        "verdict_words": wording.VERDICTS.get,
    }
    return environment


def _age(video: Video) -> str:
    return wording.age(time.time() - video.created_at_ms / _MILLISECONDS)


def _hue(video: Video) -> int:
    """A colour of its own, between green and blue, for a video that has no picture yet; in degrees."""
    return 160 + zlib.crc32(video.id.encode()) % 80


def _code(text: str) -> Markup:
    """Text in which `words` are code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before
