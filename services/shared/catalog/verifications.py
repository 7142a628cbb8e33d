"""Which finished videos are to be verified, and what came of it. Every change is fenced by compare-and-swap.

A verification is wanted from the transaction on in which a video becomes ready, or an operator asks for one,
until the transaction that records its verdict. Messages only hurry it: what nobody works on is found by the
mark `unverified/<id>`, and asked for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.shared.catalog import keys
from services.shared.catalog.originals import dispensable_ops
from services.shared.catalog.videos import is_older, now_ms
from services.shared.errors import FencedError, NotFoundError, UnavailableError
from services.shared.etcd import EtcdClient, KeyValue, delete_op, exists, put_op, unchanged, value_is
from services.shared.etcd import Op as EtcdOp
from services.shared.verification import Verification
from services.shared.video import Video

VERIFY: Final = "verify"
"""The name of the job, in claims and starts."""

_AGAIN_AFTER_MS: Final = 3600_000
"""Where nodes were away, it is worth another look when they may be back."""
_SWAP_ATTEMPTS: Final = 20


@dataclass(frozen=True, kw_only=True)
class OpenVerification:
    """A verification that is wanted, as it was read: it can be written as long as nobody else has."""

    video_id: str
    record: Verification
    value: bytes


def wanted_ops(video: Video, *, mend: bool = True) -> list[EtcdOp]:
    """What makes a video's verification wanted, to be part of a transaction."""
    asked = Verification(generation=video.generation, requested_at_ms=now_ms(), mend=mend)
    return _wanted(video, asked)


class Verifications:
    """The verifications of all videos."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd

    async def of(self, video_id: str) -> Verification | None:
        """The last verification of a video, or the present one; None: there was none."""
        kv = await self._etcd.get(keys.verification(video_id))
        return Verification.model_validate_json(kv.value) if kv else None

    async def want(self, video: Video, *, mend: bool) -> Verification:
        """Ask for a verification of a finished video, from its beginning, whatever is under way.

        Raises:
            NotFoundError: the video was deleted.
        """
        asked = Verification(generation=video.generation, requested_at_ms=now_ms(), mend=mend)
        result = await self._etcd.txn([exists(keys.video(video.id))], _wanted(video, asked))
        if not result.succeeded:
            raise NotFoundError("There is no such video.")
        return asked

    async def open(self, video: Video) -> OpenVerification:
        """The verification that is wanted of a video.

        Raises:
            FencedError: none is.
        """
        kv = await self._etcd.get(keys.verification(video.id))
        if kv is None or await self._etcd.get(keys.unverified(video.id)) is None:
            raise FencedError(f"Video {video.id} has been verified.")
        record = Verification.model_validate_json(kv.value)
        if record.generation != video.generation:
            raise FencedError(f"Video {video.id} has moved on.")
        return OpenVerification(video_id=video.id, record=record, value=kv.value)

    async def save(self, before: OpenVerification, record: Verification) -> OpenVerification:
        """Record how far a verification has come.

        Raises:
            FencedError: it was asked for anew meanwhile, or somebody else has concluded it.
        """
        key, value = keys.verification(before.video_id), record.encode()
        result = await self._etcd.txn([value_is(key, before.value)], [put_op(key, value)])
        if not result.succeeded:
            raise FencedError(f"Somebody else verifies video {before.video_id}.")
        return OpenVerification(video_id=before.video_id, record=record, value=value)

    async def conclude(
        self, before: OpenVerification, record: Verification, *, keep_original: bool = True
    ) -> Video:
        """Record the verdict, with the verification and with the video, in one transaction.

        Where nodes or all of the ring were away, the video stays marked, and somebody is asked again later.
        Where all is well and originals are not kept, this one's is marked to be dropped.

        Returns:
            The video's record.

        Raises:
            FencedError: it was asked for anew meanwhile, or the video is gone.
            UnavailableError: the video's record is changed by too many at once.
        """
        key, mark = keys.verification(before.video_id), keys.unverified(before.video_id)
        again_at_ms = now_ms() + _AGAIN_AFTER_MS
        again = record.is_worth_another_look
        marked = put_op(mark, str(again_at_ms).encode()) if again else delete_op(mark)
        for _ in range(_SWAP_ATTEMPTS):
            kv = await self._etcd.get(keys.video(before.video_id))
            if kv is None:
                raise FencedError("The video was deleted.")
            video = Video.model_validate_json(kv.value).model_copy(update={"verdict": record.verdict})
            result = await self._etcd.txn(
                [unchanged(kv), value_is(key, before.value)],
                [
                    *(put_op(kv.key, video.encode()), put_op(key, record.encode()), marked),
                    *([] if keep_original else dispensable_ops(video)),
                ],
            )
            if result.succeeded:
                return video
            current = await self._etcd.get(key)
            if current is None or current.value != before.value:
                raise FencedError(f"Somebody else verifies video {before.video_id}.")
        raise UnavailableError(f"The record of video {before.video_id} is changed by too many at once.")

    async def unserved(self, *, before_ms: int) -> Sequence[str]:
        """Ids of videos to be verified whose last message is older than `before_ms`."""
        found = self._etcd.range(keys.UNVERIFIED)
        return [kv.key.removeprefix(keys.UNVERIFIED) async for kv in found if _is_due(kv, before_ms)]

    async def touch(self, video_id: str, *, before_ms: int) -> bool:
        """Note that somebody is asked again. False: another caller did, or it is no longer wanted."""
        kv = await self._etcd.get(keys.unverified(video_id))
        if kv is None or not _is_due(kv, before_ms):
            return False
        result = await self._etcd.txn([unchanged(kv)], [put_op(kv.key, str(now_ms()).encode())])
        return result.succeeded


def _is_due(mark: KeyValue, before_ms: int) -> bool:
    return is_older(int(mark.value), than_ms=before_ms, meant_ahead_ms=_AGAIN_AFTER_MS)


def _wanted(video: Video, asked: Verification) -> list[EtcdOp]:
    return [
        put_op(keys.verification(video.id), asked.encode()),
        put_op(keys.unverified(video.id), str(asked.requested_at_ms).encode()),
        delete_op(keys.start(video.id, video.generation, VERIFY)),
    ]
