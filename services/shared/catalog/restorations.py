"""Making again what a finished video goes without: a rendition or sound track that was left out of it.

The plan names the track (`Plan.restoring`), and its tasks are done once more, for that track alone. Nothing
else in the video's records changes before all of it is there: then it takes its place in the plan, in the
transaction that publishes it. Until then it can be given up at any time, which leaves the video as it was.

All of these steps change the video's record, so no two of them get in each other's way.
"""

from __future__ import annotations

from typing import Final

from services.shared.catalog import keys
from services.shared.catalog.graves import opened_grave
from services.shared.catalog.originals import check_original
from services.shared.catalog.tasklists import TaskLists
from services.shared.catalog.videos import now_ms
from services.shared.errors import ConflictError, NotFoundError, UnavailableError
from services.shared.etcd import EtcdClient, KeyValue, absent, delete_op, put_op, unchanged
from services.shared.etcd import Op as EtcdOp
from services.shared.plan import Plan
from services.shared.task import Task, TaskResult, due, makers
from services.shared.video import Omission, Status, Video

_SWAP_ATTEMPTS: Final = 20
_TASKS_PER_TXN: Final = 50
"""Two operations each; etcd allows 128 in a transaction."""


def is_left_out(video: Video, track: str) -> bool:
    """Whether a video goes without a track that was meant to be part of it."""
    return any(omission.rendition == track for omission in video.omitted)


def restored_ops(video_id: str, plan: Plan) -> list[EtcdOp]:
    """What puts a track that was made again into its place, for the transaction that says so."""
    return [put_op(keys.plan(video_id, plan.generation), plan.encode())]


def left_out_ops(video_id: str, plan: Plan) -> list[EtcdOp]:
    """What clears the tracks away that a video goes without, for the transaction that finishes it."""
    graves = (keys.track_grave(video_id, plan.generation, track) for track in sorted(plan.left_out))
    return [put_op(keys.tombstone(grave), str(now_ms()).encode()) for grave in graves]


class Restorations:
    """Those of all videos; one track of a video at a time."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd
        self._task_lists = TaskLists(etcd)

    async def begin(self, video_id: str, track: str) -> tuple[Video, list[Task]]:
        """Begin to make a track again that was left out.

        Returns:
            The video's record, and the tasks to be done for the track.

        Raises:
            NotFoundError: there is no such video.
            ConflictError: it is not finished, or its original is gone, or it has other work to be done first.
        """
        video_kv, plan_kv = await self._records(video_id)
        video, plan = _video(video_kv), _plan(plan_kv)
        _check(video, plan, track)
        tasks = await self._task_lists.of(video.id, video.generation)
        tasks = [_renewed(task, track) for task in makers(tasks, track)]
        for start in range(0, len(tasks), _TASKS_PER_TXN):
            await self._renew(video, plan_kv, tasks[start : start + _TASKS_PER_TXN])
        begun = _with_progress(video, track, 0.0).model_copy(update={"extras_due": True})
        clear = await opened_grave(self._etcd, keys.track_grave(video.id, video.generation, track))
        result = await self._etcd.txn(
            [unchanged(video_kv), unchanged(plan_kv), *clear.compares],
            [
                put_op(video_kv.key, begun.encode()),
                put_op(plan_kv.key, plan.model_copy(update={"restoring": track}).encode()),
                put_op(keys.active(video.id), b""),
                *clear.ops,
            ],
        )
        if not result.succeeded:
            raise ConflictError("The video has just changed: try again.")
        return begun, tasks

    async def give_up(self, video_id: str, generation: int, track: str, *, reason: str = "") -> Video | None:
        """Leave a track out after all: the video stays as it was, and what was made of the track goes.

        Args:
            video_id: whose.
            generation: of the video.
            track: that was being made again.
            reason: why; empty: what was said before still holds.

        Returns:
            The video's record; None: nobody was making that track (any more).

        Raises:
            NotFoundError: there is no such video.
            UnavailableError: etcd is away, or its records are changed by too many at once.
        """
        for _ in range(_SWAP_ATTEMPTS):
            video_kv, plan_kv = await self._records(video_id)
            video, plan = _video(video_kv), _plan(plan_kv)
            if video.generation != generation or plan.restoring != track:
                return None
            after = _with_progress(video, track, None, reason=reason)
            tasks = await self._task_lists.of(video_id, generation)
            after = after.model_copy(update={"extras_due": bool(due(tasks))})
            result = await self._etcd.txn([unchanged(video_kv), unchanged(plan_kv)], _given_up(after, plan))
            if result.succeeded:
                await self._stop_work(after, tasks, track)
                return after
        raise UnavailableError(f"The record of video {video_id} is changed by too many at once.")

    async def cancel(self, video_id: str) -> Video | None:
        """Stop making a track again; None: nobody does.

        Raises:
            NotFoundError: there is no such video.
            UnavailableError: etcd is away.
        """
        kv = await self._etcd.get(keys.video(video_id))
        if kv is None:
            raise NotFoundError("There is no such video.")
        video = _video(kv)
        return await self.give_up(video.id, video.generation, video.restoring) if video.restoring else None

    async def _records(self, video_id: str) -> tuple[KeyValue, KeyValue]:
        video_kv = await self._etcd.get(keys.video(video_id))
        if video_kv is None:
            raise NotFoundError("There is no such video.")
        plan_kv = await self._etcd.get(keys.plan(video_id, _video(video_kv).generation))
        if plan_kv is None:
            status = _video(video_kv).status
            raise ConflictError(f"This video is {status}: nothing of it is there that could be added to.")
        return video_kv, plan_kv

    async def _renew(self, video: Video, plan_kv: KeyValue, tasks: list[Task]) -> None:
        """Write tasks of a track that was left out, unless somebody works on one of them."""
        name = (video.id, video.generation)
        idle = [absent(keys.claim(*name, task.name)) for task in tasks]
        puts = [put_op(keys.task(*name, task.name), task.encode()) for task in tasks]
        forgotten = [delete_op(keys.start(*name, task.name)) for task in tasks]
        result = await self._etcd.txn([unchanged(plan_kv), *idle], [*puts, *forgotten])
        if not result.succeeded:
            raise ConflictError("Parts of this video are being made again already: try again when they are.")

    async def _stop_work(self, video: Video, tasks: list[Task], track: str) -> None:
        """Take the claims on the track's tasks away, which their holders notice at once."""
        claims = [keys.claim(video.id, video.generation, task.name) for task in tasks if track in task.tracks]
        held = {kv.key async for kv in self._etcd.range(keys.claims(video.id, video.generation))}
        for key in held.intersection(claims):
            await self._etcd.delete(key)


def _video(kv: KeyValue) -> Video:
    return Video.model_validate_json(kv.value)


def _plan(kv: KeyValue) -> Plan:
    return Plan.model_validate_json(kv.value)


def _check(video: Video, plan: Plan, track: str) -> None:
    if video.status is not Status.READY:
        raise ConflictError(f"Only a finished video can get a track back; this one is {video.status}.")
    check_original(video)
    if plan.restoring:
        raise ConflictError(f"{plan.restoring} is being made again: one track at a time.")
    if not is_left_out(video, track) or track not in plan.left_out:
        raise ConflictError(f"Nobody knows (any more) how {track} was to be made.")


def _renewed(task: Task, track: str) -> Task:
    """The task with nothing on record of a track that was left out: what it has made may be gone by now."""
    result = task.result or TaskResult(worker="")
    kept = {name: made for name, made in result.tracks.items() if name != track}
    changes = {"result": result.model_copy(update={"tracks": kept}), "published_at_ms": now_ms()}
    return task.model_copy(update=changes)


def _with_progress(video: Video, track: str, progress: float | None, *, reason: str = "") -> Video:
    def told(omission: Omission) -> Omission:
        if omission.rendition != track:
            return omission
        return omission.model_copy(update={"progress": progress, "reason": reason or omission.reason})

    changes = {"omitted": tuple(map(told, video.omitted)), "updated_at_ms": now_ms()}
    return video.model_copy(update=changes)


def _given_up(video: Video, plan: Plan) -> list[EtcdOp]:
    mark, grave = keys.active(video.id), keys.track_grave(video.id, plan.generation, plan.restoring)
    return [
        put_op(keys.video(video.id), video.encode()),
        put_op(mark, b"") if video.work_remains else delete_op(mark),
        put_op(keys.plan(video.id, plan.generation), plan.model_copy(update={"restoring": ""}).encode()),
        put_op(keys.tombstone(grave), str(now_ms()).encode()),
    ]
