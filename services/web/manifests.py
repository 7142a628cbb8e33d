"""The newest manifests and playlists of a video: the final ones from the ring, before that rendered live."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Final

from services.shared.catalog import Catalog, WorkBook
from services.shared.errors import NotFoundError, UnavailableError
from services.shared.filenames import final_file
from services.shared.manifest import manifest, promised
from services.shared.plan import Availability, Plan
from services.shared.video import Status, Video
from services.web.cache import Content, ContentCache
from services.web.conditions import etag_of
from services.web.flight import SingleFlight

log = logging.getLogger(__name__)

_LIVE_S: Final = 1.0
"""How old the state of a video in the making may be: players ask for it once a second, each of them."""

_FINAL_S: Final = 10.0
"""The same for a finished one, which can only still be deleted (and that news comes as an event)."""

_OUTAGE_S: Final = 600.0
"""For how long a known state serves while etcd does not answer."""

_NEWS_WAIT_S: Final = 1.0
"""How long a newer state is waited for where one is known: players give a manifest up after 10 s."""

_MAX_STATES: Final = 2048


@dataclass(frozen=True, kw_only=True)
class _State:
    """What manifests are made from, and when it was read.

    `live` is None where they need not be made: those in the ring will do.
    """

    video: Video
    live: tuple[Plan, Availability] | None
    read_at_s: float
    rendered: dict[str, Content] = field(default_factory=dict)
    """Live manifests by name: written once, however many players ask."""
    is_outdated: bool = False
    """Something has happened to the video since."""

    def is_fresh(self, now_s: float) -> bool:
        """Whether it can be used without asking etcd."""
        lasts_s = _FINAL_S if self.video.status is Status.READY else _LIVE_S
        return not self.is_outdated and now_s - self.read_at_s < lasts_s

    def serves(self, now_s: float) -> bool:
        """Whether it can be used while etcd does not answer."""
        return now_s - self.read_at_s < _OUTAGE_S


class Manifests:
    """Manifests by video and name."""

    def __init__(
        self, *, catalog: Catalog, book: WorkBook, cache: ContentCache, on_live: Callable[[str], None]
    ) -> None:
        """`on_live` is told the id of each video that somebody watches while it is made."""
        self._on_live = on_live
        self._catalog = catalog
        self._book = book
        self._cache = cache
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._flights = SingleFlight[_State]()

    async def get(self, video_id: str, name: str) -> Content:
        """A manifest as things stand, at most a second old; while etcd does not answer, as it was last known.

        Raises:
            NotFoundError: there is no such video or manifest, or nothing to play yet.
            UnavailableError: etcd or the ring could not be asked.
        """
        state = await self._state(video_id)
        if state.live is None and state.video.status is Status.READY:
            file = final_file(name, state.video.generation, state.video.edition)
            return await self._cache.get(f"{video_id}/{file}")
        if name not in state.rendered:
            state.rendered[name] = _render(name, state)
        if state.video.status is not Status.READY:
            self._on_live(video_id)
        return state.rendered[name]

    async def promises(self, video_id: str, name: str) -> bool:
        """Whether the manifests tell of a file that is still being made; False where nobody can say."""
        try:
            state = await self._state(video_id)
        except (NotFoundError, UnavailableError):
            return False
        return state.live is not None and name in promised(*state.live)

    def refresh(self, video_id: str) -> None:
        """Look at the catalogue again when this video is next asked for."""
        if known := self._states.get(video_id):
            self._states[video_id] = replace(known, is_outdated=True)

    def forget(self, video_id: str) -> None:
        """Let go of what is known of a video, which is gone."""
        self._states.pop(video_id, None)

    async def _state(self, video_id: str) -> _State:
        known = self._states.get(video_id)
        if known and known.is_fresh(monotonic()):
            return known
        spare = known if known and known.serves(monotonic()) else None
        try:
            async with asyncio.timeout(_NEWS_WAIT_S if spare else None):
                return await self._flights.do(video_id, lambda: self._refreshed(video_id))
        except (UnavailableError, TimeoutError):
            if spare is None:
                raise
            return spare
        except NotFoundError:
            self.forget(video_id)
            raise

    async def _refreshed(self, video_id: str) -> _State:
        try:
            return await self._read(video_id)
        except UnavailableError as error:
            if video_id in self._states:  # told here, once for all who were served with it meanwhile
                log.warning("video %s: serving the manifest known so far: %s", video_id, error)
            raise

    async def _read(self, video_id: str) -> _State:
        read_at_s = monotonic()
        video = await self._catalog.get(video_id)
        live = await self._live(video) if _is_rendered(video) else None
        state = _State(video=video, live=live, read_at_s=read_at_s)
        self._states[video_id] = state
        self._states.move_to_end(video_id)
        while len(self._states) > _MAX_STATES:
            self._states.popitem(last=False)
        return state

    async def _live(self, video: Video) -> tuple[Plan, Availability] | None:
        plan = await self._book.plan(video.id, video.generation)
        availability = await self._catalog.availability(video.id)
        return (plan, availability) if plan and availability else None


def _is_rendered(video: Video) -> bool:
    """Whether the final manifests are not there yet, or know nothing of what the video got since."""
    later = bool(video.captions.offered or video.storyboard)
    return video.status is Status.PLAYABLE or (video.status is Status.READY and later)


def _render(name: str, state: _State) -> Content:
    if state.live is None:
        raise NotFoundError(_why_not_yet(state.video))
    # The record's time of change, not the clock: all web processes give out the very same text.
    video = state.video
    text = manifest(
        name,
        *state.live,
        captions=video.captions.offered,
        storyboard=video.storyboard,
        published_at_ms=video.updated_at_ms,
    )
    return Content(size_bytes=len(text), etag=etag_of(hashlib.sha256(text).hexdigest()), data=text)


def _why_not_yet(video: Video) -> str:
    if video.status is Status.FAILED:
        return f"This video could not be processed: {video.reason}"
    return "This video is still being processed: there is nothing to play yet."
