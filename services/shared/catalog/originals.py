"""Dropping the originals of finished videos, where the operator does not want to keep them.

What can be made from an original must be done, and found sound, before it goes. So the verdict leaves a mark
in the transaction that records it, and the original goes when no task is left; whoever sweeps looks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.shared.catalog import keys
from services.shared.catalog.videos import Catalog, now_ms
from services.shared.catalog.work import WorkBook
from services.shared.errors import ConflictError, NotFoundError
from services.shared.etcd import EtcdClient, delete_op, put_op
from services.shared.etcd import Op as EtcdOp
from services.shared.video import Status, Verdict, Video

NOT_KEPT: Final = "The original of this video was not kept: nothing can be made from it any more."


def dispensable_ops(video: Video) -> list[EtcdOp]:
    """What marks a video's original as no longer needed, to be part of the transaction that says so."""
    return [put_op(keys.dispensable(video.id), b"")] if _may_go(video) else []


def check_original(video: Video) -> None:
    """Make sure that a video still has its original.

    Raises:
        ConflictError: it was dropped.
    """
    if video.original_dropped:
        raise ConflictError(NOT_KEPT)


class Originals:
    """The originals that are no longer needed."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd
        self._catalog = Catalog(etcd)
        self._book = WorkBook(etcd)

    async def dispensable(self) -> Sequence[str]:
        """Ids of videos whose originals are to go."""
        return [kv.key.removeprefix(keys.DISPENSABLE) async for kv in self._etcd.range(keys.DISPENSABLE)]

    async def drop(self, video_id: str) -> Video | None:
        """Have a video's original purged, unless something is still made from it.

        Returns:
            The video's record; None: there is work left, ask again later.

        Raises:
            NotFoundError: there is no such video.
            UnavailableError: etcd is away.
        """
        video = await self._catalog.get(video_id)
        if await self._is_needed(video):
            return None
        after = await self._catalog.change(video_id, _without_original, also=_purge)
        if after.restoring:
            return None
        if not after.original_dropped:  # it is no longer what the mark says
            await self._etcd.delete(keys.dispensable(video_id))
        return after

    async def sweep(self) -> list[Video]:
        """Drop what can be dropped; the records of those videos.

        Raises:
            UnavailableError: etcd is away.
        """
        dropped = []
        for video_id in await self.dispensable():
            try:
                video = await self.drop(video_id)
            except NotFoundError:
                await self._etcd.delete(keys.dispensable(video_id))
                continue
            if video and video.original_dropped:
                dropped.append(video)
        return dropped

    async def _is_needed(self, video: Video) -> bool:
        name = (video.id, video.generation)
        if await self._book.claimed(*name):
            return True
        return not all(task.done for task in await self._book.tasks(*name))


def _may_go(video: Video) -> bool:
    return video.status is Status.READY and video.verdict is Verdict.SOUND and not video.original_dropped


def _without_original(video: Video) -> Video:
    if video.restoring or not _may_go(video):
        return video
    return video.model_copy(update={"original_dropped": True, "updated_at_ms": now_ms()})


def _purge(video: Video) -> list[EtcdOp]:
    grave = keys.tombstone(keys.original_grave(video.id))
    return [delete_op(keys.dispensable(video.id)), put_op(grave, str(now_ms()).encode())]
