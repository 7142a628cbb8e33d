"""Deleted videos: none of their files is taken any more, and all that are here go.

So it is with the files of one generation, when a video is cancelled or started over.

A tombstone stays in etcd until every node that was ever registered has said that it purged the video. So a
node that was down hears of it when it returns, and nobody can bring a deleted file back.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Final

from services.shared.catalog.keys import TOMBSTONES, purged, tombstone
from services.shared.etcd import EtcdClient, EventKind, Snapshot, WatchEvent, exists, put_op
from services.storage.disk.store import Store
from services.storage.fence import Fence, Obstacle
from services.storage.patience import patiently
from services.storage.threads import Threads

log = logging.getLogger(__name__)

_RETRY_S: Final = 60.0
"""Until a video is purged again of which the disk keeps a file."""


class Tombstones:
    """Follows the tombstones in etcd, and purges."""

    def __init__(self, *, etcd: EtcdClient, store: Store, threads: Threads, node_id: str) -> None:
        self._etcd = etcd
        self._store = store
        self._threads = threads
        self._node_id = node_id
        self._known: set[str] = set()
        self._due: asyncio.Queue[str] = asyncio.Queue()  # as long as the list of tombstones in etcd, at most

    @property
    def _fence(self) -> Fence:
        return self._store.fence

    @patiently
    async def follow(self) -> None:
        """Learn of deletions, for ever. Writes are let through once those so far are known."""
        async with aclosing(self._etcd.follow(TOMBSTONES)) as news:
            async for item in news:
                if isinstance(item, Snapshot):
                    await self._take_all({_video(kv.key) for kv in item.kvs})
                    self._fence.clear(Obstacle.TOMBSTONES)
                else:
                    await self._take(item)

    async def purge(self) -> None:
        """Remove deleted videos one after the other, for ever. One that resists holds up no other."""
        while True:
            await self._purge(await self._due.get())

    async def _take_all(self, videos: set[str]) -> None:
        for video_id in self._known - videos:
            self._forget(video_id)
        await self._bury(videos - self._known)

    async def _take(self, event: WatchEvent) -> None:
        video_id = _video(event.kv.key)
        if event.kind is EventKind.DELETE:
            self._forget(video_id)
        elif video_id not in self._known:
            await self._bury({video_id})

    async def _bury(self, videos: set[str]) -> None:
        await self._threads.run(self._fence.bury, videos)
        self._known |= videos
        for video_id in sorted(videos):
            self._due.put_nowait(video_id)

    def _forget(self, video_id: str) -> None:
        self._known.discard(video_id)
        self._fence.forget(video_id)

    async def _purge(self, video_id: str) -> None:
        """Remove a video's files, and say so once all are gone."""
        if problem := await self._remove_files(video_id):
            log.warning("%s is deleted, but %s", video_id, problem)
            asyncio.get_running_loop().call_later(_RETRY_S, self._due.put_nowait, video_id)
        else:
            await self._confirm(video_id)

    @patiently
    async def _remove_files(self, video_id: str) -> str:
        """Remove what can be removed; why one of the files could not. Waits for the index to be complete."""
        files, problem = 0, ""
        page = await self._threads.run(self._store.purge_page, video_id)
        while page.after:
            files += page.removed
            problem = problem or page.problem
            page = await self._threads.run(self._store.purge_page, video_id, after=page.after)
        if files:
            log.info("%s is deleted: purged %d files", video_id, files)
        return problem

    @patiently
    async def _confirm(self, video_id: str) -> None:
        await self._etcd.txn([exists(tombstone(video_id))], [put_op(purged(video_id, self._node_id), b"")])


def _video(key: str) -> str:
    return key.removeprefix(TOMBSTONES)
