"""The catalogue: videos and unanswered uploads. Every change is a compare-and-swap transaction."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.shared.captions import Captioning
from services.shared.catalog import keys
from services.shared.errors import AmbiguousError, ConflictError, NotFoundError, UnavailableError
from services.shared.etcd import (
    EtcdClient,
    KeyValue,
    absent,
    delete_op,
    delete_prefix_op,
    exists,
    put_op,
    unchanged,
)
from services.shared.etcd import Op as EtcdOp
from services.shared.plan import Availability
from services.shared.video import ACTIVE, Status, Video, check_video_id

_SWAP_ATTEMPTS: Final = 20
_CLOCKS_APART_MS: Final = 60_000
"""A moment that is further ahead was told by a wrong clock: machines without NTP boot with those."""

_NOTHING_MADE: Final[Mapping[str, object]] = {
    "progress": 0.0,
    "playable_s": 0.0,
    "renditions": (),
    "audio": (),
    "omitted": (),
    "poster": False,
    "storyboard": None,
}
"""What the record of a video says of which nothing is there but, perhaps, its original."""

CANCELLED: Final = "Processing was cancelled."

Decision = Callable[[Video], Video]
"""Pure: the record as it shall be. Called again when somebody else was faster, so it must be repeatable."""

Consequences = Callable[[Video], Sequence[EtcdOp]]
"""What else happens in the transaction that replaces this record."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What follows from the work that is done by now."""

    video: Video
    availability: Availability
    also: Sequence[EtcdOp] = ()
    """What else happens in the transaction that publishes it."""


Measure = Callable[[Video], Awaitable[Measured]]
"""Reads what is done by now for a video, whose record it is given."""


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def is_older(told_ms: int, *, than_ms: int, meant_ahead_ms: int = 0) -> bool:
    """Whether a moment was before `than_ms`, or is one that only a wrong clock can have told.

    Args:
        told_ms: by the clock of another machine.
        than_ms: by our own.
        meant_ahead_ms: how far in the future the moment may be by intention.
    """
    return told_ms < than_ms or told_ms > now_ms() + meant_ahead_ms + _CLOCKS_APART_MS


class Catalog:
    """All videos of the installation."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd

    async def get(self, video_id: str) -> Video:
        """The record of a video.

        Raises:
            NotFoundError: there is none (never was, or it was deleted).
        """
        return Video.model_validate_json((await self._record(video_id)).value)

    async def page(
        self, *, limit: int, before: str | None = None, text: str = ""
    ) -> tuple[list[Video], str | None]:
        """Up to `limit` videos older than `before` whose title contains `text`, newest first.

        Returns:
            The videos, and the `before` that continues the list (None: this was the end).
        """
        wanted = text.casefold().strip()
        found: list[Video] = []
        start_after = keys.video(check_video_id(before)) if before else None
        async for kv in self._etcd.range(keys.VIDEOS, start_after=start_after):
            video = Video.model_validate_json(kv.value)
            if wanted not in video.title.casefold():
                continue
            if len(found) == limit:
                return found, found[-1].id
            found.append(video)
        return found, None

    async def active_ids(self) -> list[str]:
        """Ids of the videos that work remains for."""
        return [kv.key.removeprefix(keys.ACTIVE) async for kv in self._etcd.range(keys.ACTIVE)]

    async def availability(self, video_id: str) -> Availability | None:
        """What of a video can be played; None before its plan exists."""
        kv = await self._etcd.get(keys.availability(video_id))
        return Availability.model_validate_json(kv.value) if kv else None

    async def change(
        self, video_id: str, decide: Decision, *, also: Consequences = lambda _before: ()
    ) -> Video:
        """Replace a record by what `decide` makes of it, with what `also` names, in one transaction.

        Nothing is written where `decide` leaves the record as it is.

        Raises:
            NotFoundError: the video is unknown.
            ConflictError: from `decide`, where the change is not allowed.
            UnavailableError: others kept changing the record.
        """
        for _ in range(_SWAP_ATTEMPTS):
            kv = await self._record(video_id)
            before = Video.model_validate_json(kv.value)
            after = decide(before)
            if after == before:
                return before
            if await self._swap(kv, after, also(before)):
                return after
        raise UnavailableError(f"The record of video {video_id} is changed by too many at once.")

    async def publish(self, video_id: str, measure: Measure) -> Video:
        """Store what `measure` finds, all of it in one transaction.

        `measure` runs after the record was read, so when several workers publish at once, the one whose
        transaction succeeds last has also measured last: availability never goes back.

        Raises:
            NotFoundError: the video is unknown.
            UnavailableError: others kept changing the record.
        """
        for _ in range(_SWAP_ATTEMPTS):
            kv = await self._record(video_id)
            before = Video.model_validate_json(kv.value)
            found = await measure(before)
            if found.video == before and found.availability == await self.availability(video_id):
                return before
            published = put_op(keys.availability(video_id), found.availability.encode())
            if await self._swap(kv, found.video, (published, *found.also)):
                return found.video
        raise UnavailableError(f"The record of video {video_id} is changed by too many at once.")

    async def rename(self, video_id: str, title: str) -> Video:
        """Give a video another title."""
        return await self.change(
            video_id, lambda video: video.model_copy(update={"title": title, "updated_at_ms": now_ms()})
        )

    async def touch(self, video_id: str, *, before_ms: int) -> bool:
        """Renew a record last changed before `before_ms`. False: it is newer, or another caller did."""
        kv = await self._record(video_id)
        video = Video.model_validate_json(kv.value)
        if not is_older(video.updated_at_ms, than_ms=before_ms):
            return False
        return await self._swap(kv, video.model_copy(update={"updated_at_ms": now_ms()}), ())

    async def fail(self, video_id: str, generation: int, reason: str) -> Video:
        """Mark a video failed, if it is still at `generation` and not finished; else leave it as it is.

        What is being done for it stops; what has been done is kept, for `resume`.
        """

        def decide(video: Video) -> Video:
            if video.generation != generation or video.status not in ACTIVE:
                return video
            return video.moved_to(Status.FAILED, now_ms=now_ms(), reason=reason)

        return await self.change(
            video_id, decide, also=lambda video: (delete_prefix_op(keys.claims(video_id, video.generation)),)
        )

    async def refuse(self, video_id: str, generation: int, reason: str) -> Video:
        """Mark a video failed because of its source, and have the source purged: no retry can mend it.

        What it claims to be is not kept, though a first look may have believed it and planned by it.
        """

        def decide(video: Video) -> Video:
            if video.generation != generation or video.status not in ACTIVE:
                return video
            return video.moved_to(
                Status.FAILED,
                now_ms=now_ms(),
                reason=reason,
                refused=True,
                duration_s=None,
                width=None,
                height=None,
                frames=None,
                captions=Captioning(),
                **_NOTHING_MADE,
            )

        return await self.change(video_id, decide, also=lambda _: (_tombstone(video_id),))

    async def cancel(self, video_id: str) -> Video:
        """Stop processing a video: it keeps its original, and nothing that was made of it.

        Raises:
            NotFoundError: the video is unknown.
            ConflictError: it is not being processed.
        """

        def decide(video: Video) -> Video:
            if video.status not in ACTIVE:
                raise ConflictError(f"Only processing can be cancelled; this video is {video.status}.")
            return video.moved_to(
                Status.FAILED,
                now_ms=now_ms(),
                reason=CANCELLED,
                progress=0.0,
                poster=False,
                storyboard=None,
                captions=video.captions.found(()),
            )

        return await self.change(video_id, decide, also=_given_up)

    async def resume(self, video_id: str, generation: int) -> Video:
        """Go on with a failed video whose plan is still there, where it stopped.

        Raises:
            NotFoundError: the video is unknown.
            ConflictError: it has not failed, or not at that generation.
        """

        def decide(video: Video) -> Video:
            if not video.retryable or video.generation != generation:
                raise ConflictError(f"This video is {video.status} and cannot go on.")
            return video.moved_to(Status.PROCESSING, now_ms=now_ms(), reason=None)

        return await self.change(video_id, decide)

    async def retry(self, video_id: str) -> Video:
        """Start a failed video over, under the next generation.

        Raises:
            ConflictError: it has not failed.
        """

        def decide(video: Video) -> Video:
            if video.status is not Status.FAILED:
                raise ConflictError(f"Only a failed video can be retried; this one is {video.status}.")
            if video.refused:
                raise ConflictError("This file is no video that can be played, and is gone: upload another.")
            return restarted(video)

        return await self.change(video_id, decide, also=_given_up)

    async def restart(
        self, video_id: str, generation: int, *, whole: bool = False, careful: bool = False
    ) -> Video:
        """Start an active video over under the next generation, unless somebody already did."""

        def decide(video: Video) -> Video:
            if video.generation != generation or video.status not in ACTIVE:
                return video
            return restarted(video, whole=whole, careful=careful)

        return await self.change(video_id, decide, also=_given_up)

    async def delete(self, video_id: str) -> Video:
        """Remove a video: its records go, and a tombstone tells the storage nodes to purge its files.

        Raises:
            NotFoundError: the video is unknown.
        """
        for _ in range(_SWAP_ATTEMPTS):
            kv = await self._record(video_id)
            result = await self._etcd.txn([unchanged(kv)], _burial(video_id))
            if result.succeeded:
                video = Video.model_validate_json(kv.value)
                return video.model_copy(update={"status": Status.DELETED, "updated_at_ms": now_ms()})
        raise UnavailableError(f"The record of video {video_id} is changed by too many at once.")

    async def begin_upload(self, video_id: str, *, instance: str, lease_id: int) -> None:
        """Announce an upload: should `lease_id` end before `finish_upload`, anyone may clean up."""
        await self._etcd.txn(
            [absent(keys.upload(video_id))],
            [
                put_op(keys.upload(video_id), instance.encode()),
                put_op(keys.uploader(video_id), instance.encode(), lease_id=lease_id),
            ],
        )

    async def finish_upload(self, video: Video) -> None:
        """Turn an announced upload into a video, in one transaction. After this the upload cannot be lost.

        Raises:
            ConflictError: the upload was given up meanwhile.
        """
        uploaded = video.encode()
        try:
            result = await self._etcd.txn(
                [exists(keys.upload(video.id)), absent(keys.video(video.id))],
                [
                    delete_op(keys.upload(video.id)),
                    delete_op(keys.uploader(video.id)),
                    put_op(keys.video(video.id), uploaded),
                    put_op(keys.active(video.id), b""),
                ],
            )
            finished = result.succeeded
        except AmbiguousError:
            finished = await self._etcd.get(keys.video(video.id)) is not None
        if not finished:
            raise ConflictError("This upload was given up before it was complete: please upload again.")

    async def abandon_upload(self, video_id: str) -> bool:
        """Give an unanswered upload up and have its parts purged. False: answered or given up before."""
        result = await self._etcd.txn(
            [exists(keys.upload(video_id)), absent(keys.video(video_id))],
            [
                delete_op(keys.upload(video_id)),
                delete_op(keys.uploader(video_id)),
                _tombstone(video_id),
            ],
        )
        return result.succeeded

    async def stale_uploads(self) -> list[str]:
        """Ids of unanswered uploads whose receiving process is gone."""
        announced = [kv.key.removeprefix(keys.UPLOADS) async for kv in self._etcd.range(keys.UPLOADS)]
        return [video_id for video_id in announced if not await self._etcd.get(keys.uploader(video_id))]

    async def _record(self, video_id: str) -> KeyValue:
        kv = await self._etcd.get(keys.video(video_id))
        if kv is None:
            raise NotFoundError("There is no such video.")
        return kv

    async def _swap(self, kv: KeyValue, after: Video, with_ops: Sequence[EtcdOp]) -> bool:
        """Whether the record is now `after`. If not, the next round reads what became of it."""
        mark = keys.active(after.id)
        active = put_op(mark, b"") if after.work_remains else delete_op(mark)
        try:
            result = await self._etcd.txn(
                [unchanged(kv)], [put_op(keys.video(after.id), after.encode()), active, *with_ops]
            )
        except AmbiguousError:
            # To decide again about what was done would be to refuse it.
            found = await self._etcd.get(kv.key)
            return found is not None and found.value == after.encode()
        return result.succeeded


def _tombstone(name: str) -> EtcdOp:
    return put_op(keys.tombstone(name), str(now_ms()).encode())


def _burial(video_id: str) -> list[EtcdOp]:
    single = (
        *(keys.video, keys.active, keys.availability),
        *(keys.verification, keys.unverified, keys.dispensable),
    )
    return [
        *(delete_op(key(video_id)) for key in single),
        *(delete_prefix_op(prefix) for prefix in keys.everything_of(video_id)),
        _tombstone(video_id),
    ]


def _given_up(video: Video) -> list[EtcdOp]:
    """Remove what a video's present generation has, and have its files purged; the original stays."""
    name = (video.id, video.generation)
    return [
        delete_op(keys.availability(video.id)),
        delete_op(keys.plan(*name)),
        *(delete_prefix_op(prefix(*name)) for prefix in (keys.tasks, keys.claims, keys.starts)),
        _tombstone(keys.grave(*name)),
    ]


def restarted(video: Video, *, whole: bool = False, careful: bool = False) -> Video:
    """The record of a video that starts over under the next generation."""
    return video.moved_to(
        Status.UPLOADED,
        now_ms=now_ms(),
        generation=video.generation + 1,
        whole=whole or video.whole,
        careful=careful or video.careful,
        reason=None,
        captions=video.captions.found(()),
        verdict=None,
        **_NOTHING_MADE,
    )
