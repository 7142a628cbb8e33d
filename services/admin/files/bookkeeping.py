"""What the catalogue knows of files: which a video refers to, and whether there is such a video at all."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import aclosing
from typing import Final

from services.shared.catalog import Catalog, WorkBook, keys
from services.shared.errors import NotFoundError
from services.shared.etcd import EtcdClient
from services.shared.references import References, references
from services.shared.video import Video

_REMEMBERED: Final = 100_000


class Bookkeeping:
    """The catalogue, asked about files. Each call raises `UnavailableError` while etcd is away."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd
        self._catalog = Catalog(etcd)
        self._book = WorkBook(etcd)
        self._known: OrderedDict[str, bool] = OrderedDict()

    async def videos(self, *, after: str | None, limit: int) -> list[Video]:
        """Up to `limit` videos in the order of their ids, after one of them."""
        videos: list[Video] = []
        start_after = keys.video(after) if after else None
        found = self._etcd.range(keys.VIDEOS, start_after=start_after, page_size=limit)
        async with aclosing(found) as records:
            async for kv in records:
                videos.append(Video.model_validate_json(kv.value))
                if len(videos) == limit:
                    break
        return videos

    async def video(self, video_id: str) -> Video | None:
        """A video's record; None: there is none."""
        try:
            return await self._catalog.get(video_id)
        except NotFoundError:
            return None

    async def references(self, video: Video) -> References:
        """What a video refers to. Results that come while it is asked for may or may not be in it."""
        plan = await self._book.plan(video.id, video.generation)
        tasks = await self._book.tasks(video.id, video.generation) if plan else []
        return references(video, plan, tasks)

    async def reread(self, video_id: str) -> References | None:
        """What a video refers to now; None: it has been deleted."""
        video = await self.video(video_id)
        return await self.references(video) if video else None

    async def is_known(self, video_id: str) -> bool:
        """Whether there is a record that a video, or a file of one that was seen before, is or was there.

        Asked in the order of a video's life, so that one which moves on meanwhile is not missed: files come
        after the upload's mark, and each of the records takes the place of the one before it at once.
        """
        if video_id not in self._known:
            self._known[video_id] = await self._ask(video_id)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return self._known[video_id]

    async def _ask(self, video_id: str) -> bool:
        begun = (keys.upload(video_id), keys.resumable(video_id))
        for key in (*begun, keys.video(video_id), keys.tombstone(video_id)):
            if await self._etcd.get(key):
                return True
        return False
