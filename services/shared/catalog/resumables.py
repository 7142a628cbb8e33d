"""Resumable uploads: their records, and who may add to them. Fenced by compare-and-swap.

Whoever receives more of an upload holds a key under a lease of its process, with the number of its take. A
record is replaced only while that very key stands, and only as it was read. So two processes never both add
to an upload, however slow one of them is to notice that it has lost its lease.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from services.shared.catalog import keys
from services.shared.catalog.videos import now_ms
from services.shared.errors import (
    AmbiguousError,
    BusyError,
    ConflictError,
    FencedError,
    GoneError,
    NotFoundError,
)
from services.shared.etcd import (
    Compare,
    EtcdClient,
    KeyValue,
    absent,
    delete_op,
    exists,
    put_op,
    unchanged,
    value_is,
)
from services.shared.etcd import Op as EtcdOp
from services.shared.resumable import ResumableUpload
from services.shared.video import Video

_LEASE_TTL_S: Final = 5
"""For so long nobody can go on with an upload whose receiver was killed."""

_PAGE: Final = 100


class Reception:
    """The right of one take to add to an upload, and the record as that take has left it."""

    def __init__(self, etcd: EtcdClient, upload: ResumableUpload, *, owner: bytes, lifetime_ms: int) -> None:
        self._etcd = etcd
        self._owner = owner
        self._lifetime_ms = lifetime_ms
        self._stored = upload
        self.upload = upload

    async def save(self, upload: ResumableUpload) -> None:
        """Replace the record; after this its bytes cannot be lost.

        Raises:
            FencedError: the upload is in other hands, or has been given up.
            UnavailableError: etcd is away.
        """
        after = upload.model_copy(update={"expires_at_ms": now_ms() + self._lifetime_ms})
        await self._swap([put_op(keys.resumable(upload.id), after.encode())], after)
        self.upload = self._stored = after

    async def finish(self, upload: ResumableUpload) -> Video:
        """Turn a complete upload into a video, in one transaction.

        Raises:
            FencedError: the upload is in other hands, or has been given up.
            UnavailableError: etcd is away.
        """
        video = upload.video(now_ms=now_ms())
        await self._swap(
            [
                delete_op(keys.resumable(video.id)),
                delete_op(keys.receiver(video.id)),
                put_op(keys.video(video.id), video.encode()),
                put_op(keys.active(video.id), b""),
            ],
            video,
        )
        self.upload = upload
        return video

    async def _swap(self, ops: Sequence[EtcdOp], after: ResumableUpload | Video) -> None:
        key = keys.resumable(after.id)
        compares = [value_is(keys.receiver(after.id), self._owner), value_is(key, self._stored.encode())]
        try:
            done = (await self._etcd.txn(compares, ops)).succeeded
        except AmbiguousError:
            written = keys.video(after.id) if isinstance(after, Video) else key
            kv = await self._etcd.get(written)
            done = kv is not None and kv.value == after.encode()
        if not done:
            raise FencedError("This upload has been ended, or is received by another request.")


class Resumables:
    """The resumable uploads of the installation that are not complete.

    Args:
        etcd: where they are.
        lifetime_s: an upload to which nothing is added for so long is given up.
    """

    def __init__(self, etcd: EtcdClient, *, lifetime_s: float) -> None:
        self._etcd = etcd
        self._lifetime_ms = int(lifetime_s * 1000)

    async def create(self, upload: ResumableUpload) -> ResumableUpload:
        """Begin an upload; its record.

        Raises:
            UnavailableError: etcd is away.
        """
        upload = upload.model_copy(update={"expires_at_ms": now_ms() + self._lifetime_ms})
        await self._etcd.put(keys.resumable(upload.id), upload.encode())
        return upload

    async def count(self, *, up_to: int) -> int:
        """How many there are, or `up_to` where there are more."""
        found = 0
        async for _ in self._etcd.range(keys.RESUMABLE, page_size=_PAGE):
            found += 1
            if found >= up_to:
                break
        return found

    async def get(self, upload_id: str) -> ResumableUpload:
        """An upload that can go on.

        Raises:
            NotFoundError: there is none; `GoneError`: not any more.
        """
        return ResumableUpload.model_validate_json((await self._record(upload_id)).value)

    @asynccontextmanager
    async def receiving(self, upload_id: str, *, offset: int, instance: str) -> AsyncIterator[Reception]:
        """Hold the right to add to an upload from `offset` on, as its next take.

        Raises:
            NotFoundError: there is no such upload; `GoneError`: not any more.
            ConflictError: it does not end at `offset`; `BusyError`: another request holds that right.
            UnavailableError: etcd is away.
        """
        kv = await self._record(upload_id)
        before = ResumableUpload.model_validate_json(kv.value)
        check_offset(offset, end=before.offset)
        upload = before.model_copy(update={"take": before.take + 1})
        owner, key = f"{instance} {upload.take}".encode(), keys.receiver(upload_id)
        async with self._etcd.lease(_LEASE_TTL_S) as lease:
            taken = await self._etcd.txn(
                [unchanged(kv), absent(key)],
                [put_op(kv.key, upload.encode()), put_op(key, owner, lease_id=lease.id)],
            )
            if not taken.succeeded:
                raise BusyError("Another request is uploading this file: wait until it has ended.")
            yield Reception(self._etcd, upload, owner=owner, lifetime_ms=self._lifetime_ms)

    async def terminate(self, upload_id: str) -> None:
        """Give an upload up and have its files purged, whoever is receiving more of it.

        Raises:
            NotFoundError: there is no such upload; `GoneError`: not any more.
            UnavailableError: etcd is away.
        """
        await self._record(upload_id)
        await self._bury(upload_id, exists(keys.resumable(upload_id)))

    async def expire(self) -> list[str]:
        """Give up all that nothing was added to for too long; their ids.

        Raises:
            UnavailableError: etcd is away.
        """
        ended = []
        async for kv in self._etcd.range(keys.RESUMABLE, page_size=_PAGE):
            upload = ResumableUpload.model_validate_json(kv.value)
            if upload.expires_at_ms > now_ms():
                continue
            if await self._bury(upload.id, unchanged(kv), absent(keys.receiver(upload.id))):
                ended.append(upload.id)
        return ended

    async def _record(self, upload_id: str) -> KeyValue:
        kv = await self._etcd.get(keys.resumable(upload_id))
        if kv is None and await self._etcd.get(keys.tombstone(upload_id)):
            raise GoneError("This upload has been ended, or nothing was added to it for too long.")
        if kv is None:
            raise NotFoundError("There is no such upload.")
        return kv

    async def _bury(self, upload_id: str, *where: Compare) -> bool:
        result = await self._etcd.txn(
            where,
            [
                delete_op(keys.resumable(upload_id)),
                delete_op(keys.receiver(upload_id)),
                put_op(keys.tombstone(upload_id), str(now_ms()).encode()),
            ],
        )
        return result.succeeded


def check_offset(offset: int, *, end: int) -> None:
    """Make sure that a request goes on where an upload ends.

    Raises:
        ConflictError: it does not.
    """
    if offset != end:
        raise ConflictError(f"The upload is at byte {end}; the request begins at {offset}.")
