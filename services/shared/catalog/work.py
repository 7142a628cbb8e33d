"""Plans, tasks and claims: what is to be done for a video, and who does it. Fenced by compare-and-swap.

A worker that takes a task from the broker writes a claim under its lease, with a token of its own. A result
is accepted only while that very claim stands: an attempt that was given up can never overwrite a later one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from services.shared.catalog import keys
from services.shared.catalog.tasklists import TaskLists
from services.shared.catalog.videos import is_older, now_ms
from services.shared.errors import FencedError, NotFoundError, UnavailableError
from services.shared.etcd import (
    Compare,
    EtcdClient,
    absent,
    delete_op,
    delete_prefix_op,
    exists,
    put_op,
    unchanged,
    value_is,
)
from services.shared.etcd import Op as EtcdOp
from services.shared.plan import Plan
from services.shared.record import Record
from services.shared.task import Piece, Task, TaskResult

_OPS_PER_TXN: Final = 100
"""etcd allows 128 operations in a transaction."""


class ClaimRecord(Record):
    """The value of a claim key."""

    worker: str
    token: str
    delivery: str = ""
    """Of the message that the worker acts on; empty: of none."""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """The message that a worker acts on: it decides whose work may be taken over."""

    delivery: str = ""
    """This very delivery of it; empty: there is no message."""
    earlier: frozenset[str] = frozenset()
    """Deliveries that have ended with this one. Whoever acted on them has no right to go on."""


NO_ERRAND: Final = Errand()


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to write the result of one task."""

    video_id: str
    generation: int
    task: Task
    value: bytes

    @property
    def key(self) -> str:
        """The claim's key in etcd."""
        return keys.claim(self.video_id, self.generation, self.task.name)

    @property
    def task_key(self) -> str:
        """The task's key in etcd."""
        return keys.task(self.video_id, self.generation, self.task.name)


class WorkBook:
    """The plans and tasks of all videos."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd
        self._task_lists = TaskLists(etcd)

    async def plan(self, video_id: str, generation: int) -> Plan | None:
        """The plan of a generation, None before there is one."""
        kv = await self._etcd.get(keys.plan(video_id, generation))
        return Plan.model_validate_json(kv.value) if kv else None

    async def write_plan(
        self, video_id: str, plan: Plan, tasks: Sequence[Task], *, held: Sequence[Compare] = ()
    ) -> bool:
        """Store a plan and its tasks, unless another planner was faster or the video was given up.

        The tasks are written before the plan that makes them count. What a planner that died half-way has
        left goes first: it may have cut the video for another number of workers.

        Args:
            video_id: the video.
            plan: how it is cut and encoded.
            tasks: all that there is to do for that.
            held: what has to hold meanwhile: the planner's claim, so that one that was given up adds nothing
                to the tasks of the next one.

        Returns:
            Whether this plan is the one that counts.
        """
        name = (video_id, plan.generation)
        key, graves = keys.plan(*name), (video_id, keys.grave(*name))
        wanted = [absent(key), *(absent(keys.tombstone(grave)) for grave in graves), *held]
        batches = _batches([put_op(keys.task(*name, task.name), task.encode()) for task in tasks])
        for batch in ([delete_prefix_op(keys.tasks(*name))], *batches, [put_op(key, plan.encode())]):
            if not (await self._etcd.txn(wanted, batch)).succeeded:
                return False
        return True

    async def tasks(self, video_id: str, generation: int) -> list[Task]:
        """All tasks of a plan, in the order of their names."""
        return await self._task_lists.of(video_id, generation)

    async def task(self, video_id: str, generation: int, name: str) -> Task | None:
        """One task of a plan; None where there is none."""
        kv = await self._etcd.get(keys.task(video_id, generation, name))
        return Task.model_validate_json(kv.value) if kv else None

    async def claimed(self, video_id: str, generation: int) -> dict[str, str]:
        """The tasks that somebody works on: task name to worker."""
        prefix = keys.claims(video_id, generation)
        return {
            kv.key.removeprefix(prefix): ClaimRecord.model_validate_json(kv.value).worker
            async for kv in self._etcd.range(prefix)
        }

    async def claim(
        self,
        video_id: str,
        generation: int,
        name: str,
        *,
        worker: str,
        lease_id: int,
        errand: Errand = NO_ERRAND,
        redo: bool = False,
    ) -> Claim:
        """Take a task: from nobody, or from whoever has it by an earlier delivery of the same message.

        With `redo`, also one that has been done.

        Raises:
            NotFoundError: there is no such task (the video was deleted or started over).
            FencedError: the task is done, or a live worker has it by another message.
        """
        kv = await self._etcd.get(keys.task(video_id, generation, name))
        if kv is None:
            raise NotFoundError(f"There is no task {name} of generation {generation}.")
        task = Task.model_validate_json(kv.value)
        if task.done and not redo:
            raise FencedError(f"Task {name} is done already.")
        begun = task.model_copy(update={"begun": True})
        marked = [] if task.begun else [put_op(kv.key, begun.encode())]
        value = _claimed(worker, errand)
        claim = Claim(video_id=video_id, generation=generation, task=begun, value=value)
        as_read = [unchanged(kv)]
        if not await self._seize(claim.key, value, errand, lease_id=lease_id, also=as_read, ops=marked):
            raise FencedError(f"Task {name} is in other hands.")
        return claim

    @asynccontextmanager
    async def doing(
        self,
        job: str,
        video_id: str,
        generation: int,
        *,
        worker: str,
        lease_id: int,
        errand: Errand = NO_ERRAND,
    ) -> AsyncIterator[Compare]:
        """Be the one who does a job that is no task: however long that takes, nobody else is asked to.

        What it yields holds while that is so.

        Raises:
            FencedError: a live worker does it by another message; the body has not run.
        """
        key, value = keys.claim(video_id, generation, job), _claimed(worker, errand)
        if not await self._seize(key, value, errand, lease_id=lease_id):
            raise FencedError(f"Somebody else does this already: {job} of video {video_id}.")
        try:
            yield value_is(key, value)
        finally:
            with suppress(UnavailableError):  # then the lease gives it back
                await asyncio.shield(self._etcd.txn([value_is(key, value)], [delete_op(key)]))

    async def report(self, claim: Claim, *, segments_done: int) -> None:
        """Record how far a task has come, while its claim stands.

        Raises:
            FencedError: the claim is gone.
        """
        task = claim.task.model_copy(update={"segments_done": segments_done})
        result = await self._etcd.txn(
            [value_is(claim.key, claim.value)], [put_op(claim.task_key, task.encode())]
        )
        if not result.succeeded:
            raise FencedError(f"Task {task.name} is in other hands.")

    async def finish(self, claim: Claim, result: TaskResult) -> None:
        """Record a task's result and give the claim back, in one transaction.

        Raises:
            FencedError: somebody else has the task, or has done it, or the video is gone.
            AmbiguousError: etcd did not say whether it took the result.
        """
        done = put_op(claim.task_key, claim.task.model_copy(update={"result": result}).encode())
        mine = await self._etcd.txn(
            [value_is(claim.key, claim.value), exists(claim.task_key)], [done, delete_op(claim.key)]
        )
        if not mine.succeeded and not await self._finish_unclaimed(claim, done):
            raise FencedError(f"Task {claim.task.name} is in other hands.")

    async def check(self, claim: Claim) -> bool:
        """Whether a claim stands; False: nobody has the task (our lease ran out, or the video was given up).

        Raises:
            FencedError: somebody else has it.
        """
        kv = await self._etcd.get(claim.key)
        if kv is not None and kv.value != claim.value:
            raise FencedError(f"Task {claim.task.name} is in other hands.")
        return kv is not None

    async def split(
        self, video_id: str, generation: int, task: Task, renditions: tuple[str, ...]
    ) -> list[Task]:
        """Put a task of its own for each rendition in the place of a task of several; empty: somebody did.

        Raises:
            NotFoundError: the task encodes no piece, or it is gone.
        """
        kv = await self._etcd.get(keys.task(video_id, generation, task.name))
        if kv is None or task.piece is None:
            raise NotFoundError(f"There is no task {task.name} that could be split.")
        parts = [_part(task, task.piece, rendition) for rendition in renditions]
        claim = keys.claim(video_id, generation, task.name)
        puts = [put_op(keys.task(video_id, generation, part.name), part.encode()) for part in parts]
        result = await self._etcd.txn([unchanged(kv)], [delete_op(kv.key), delete_op(claim), *puts])
        return parts if result.succeeded else []

    async def omit(self, video_id: str, generation: int, track: str) -> None:
        """Take a rendition or sound track out of a plan; no effect if it is out, or the plan is gone."""
        kv = await self._etcd.get(keys.plan(video_id, generation))
        plan = Plan.model_validate_json(kv.value) if kv else None
        if kv is None or plan is None:
            return
        result = await self._etcd.txn([unchanged(kv)], [put_op(kv.key, plan.without(track).encode())])
        if not result.succeeded:
            raise UnavailableError("The plan is changed by too many at once.")

    async def complete_plan(self, claim: Claim, plan: Plan, whole: Plan, tasks: list[Task]) -> None:
        """Put a plan for the whole source in the place of one for its beginning, and add its other tasks.

        What a surveyor that died half-way has left of those goes first, as in `write_plan`. Nobody acts on
        tasks beyond the beginning before the survey is done (`services.shared.task.due`).

        Raises:
            FencedError: the claim on the survey is gone.
            UnavailableError: the plan has changed meanwhile: look at it again.
        """
        name = (claim.video_id, claim.generation)
        kv = await self._etcd.get(keys.plan(*name))
        if kv is None or Plan.model_validate_json(kv.value) != plan:
            raise UnavailableError("The plan was changed while its source was looked at.")
        left = [task for task in await self.tasks(*name) if not task.urgent]
        deletes = _batches([delete_op(keys.task(*name, task.name)) for task in left])
        puts = _batches([put_op(keys.task(*name, task.name), task.encode()) for task in tasks])
        for batch in (*deletes, *puts, [put_op(kv.key, whole.encode())]):
            result = await self._etcd.txn([unchanged(kv), value_is(claim.key, claim.value)], batch)
            if not result.succeeded:
                raise FencedError(f"Task {claim.task.name} is in other hands.")

    async def settle(self, video_id: str, generation: int, name: str, result: TaskResult) -> None:
        """Record a result for a task that nobody will do any more; no effect if there is one, or no task."""
        kv = await self._etcd.get(keys.task(video_id, generation, name))
        task = Task.model_validate_json(kv.value) if kv else None
        if kv is None or task is None or task.done:
            return
        done = task.model_copy(update={"result": result})
        await self._etcd.txn([unchanged(kv)], [put_op(kv.key, done.encode())])

    async def relieve(self, claim: Claim, name: str, steps: int) -> bool:
        """Have a piece that nobody has begun encoded coarser; whether that is so now.

        Args:
            claim: of the task that found out that it may be.
            name: of the piece's task.
            steps: by how much.
        """
        kv = await self._etcd.get(keys.task(claim.video_id, claim.generation, name))
        task = Task.model_validate_json(kv.value) if kv else None
        if kv is None or task is None or task.done or task.begun or task.piece is None:
            return False
        eased = task.model_copy(update={"piece": task.piece.model_copy(update={"relief": steps})})
        unbegun = absent(keys.claim(claim.video_id, claim.generation, name))
        wanted = [unchanged(kv), unbegun, value_is(claim.key, claim.value)]
        return (await self._etcd.txn(wanted, [put_op(kv.key, eased.encode())])).succeeded

    async def release(self, claim: Claim) -> None:
        """Give a claim back without a result. No effect if it is no longer ours."""
        await self._etcd.txn([value_is(claim.key, claim.value)], [delete_op(claim.key)])

    async def republishable(
        self, video_id: str, generation: int, name: str, *, before_ms: int, redo: bool = False
    ) -> Task | None:
        """The task, if its last message is older than `before_ms` and this caller is to send another.

        With `redo`, also one that has been done.
        """
        kv = await self._etcd.get(keys.task(video_id, generation, name))
        if kv is None:
            return None
        task = Task.model_validate_json(kv.value)
        if (task.done and not redo) or not is_older(task.published_at_ms, than_ms=before_ms):
            return None
        later = task.model_copy(update={"published_at_ms": now_ms()})
        result = await self._etcd.txn([unchanged(kv)], [put_op(kv.key, later.encode())])
        return later if result.succeeded else None

    async def announce_worker(self, instance: str, *, encoder: str, lease_id: int) -> None:
        """Make a worker known for as long as its lease lives, and the identity of its encoders."""
        await self._etcd.put(f"{keys.WORKERS}{instance}", encoder.encode(), lease_id=lease_id)

    async def announce_room(self, instance: str, *, room_bytes: int, lease_id: int) -> None:
        """Make known what a worker's disk could hold, were it empty, for as long as its lease lives."""
        await self._etcd.put(f"{keys.ROOMS}{instance}", str(room_bytes).encode(), lease_id=lease_id)

    async def could_hold(self, size_bytes: int) -> bool:
        """Whether the disk of a live worker is large enough for that, were it empty, or might be."""
        prefix = keys.ROOMS
        rooms = {kv.key.removeprefix(prefix): int(kv.value) async for kv in self._etcd.range(prefix)}
        return any(rooms.get(worker, size_bytes) >= size_bytes for worker in await self.workers())

    async def encoders(self) -> list[str]:
        """The identities of the live workers' encoders."""
        return [kv.value.decode() async for kv in self._etcd.range(keys.WORKERS)]

    async def workers(self) -> list[str]:
        """The live workers."""
        return [kv.key.removeprefix(keys.WORKERS) async for kv in self._etcd.range(keys.WORKERS)]

    async def begin_sweep(self, *, interval_ms: int) -> bool:
        """Whether a sweep is due, and this caller is the one to do it."""
        kv = await self._etcd.get(keys.SWEEP)
        if kv and not is_older(int(kv.value), than_ms=now_ms() - interval_ms):
            return False
        compare = unchanged(kv) if kv else absent(keys.SWEEP)
        result = await self._etcd.txn([compare], [put_op(keys.SWEEP, str(now_ms()).encode())])
        return result.succeeded

    async def _seize(
        self,
        key: str,
        value: bytes,
        errand: Errand,
        *,
        lease_id: int,
        also: Sequence[Compare] = (),
        ops: Sequence[EtcdOp] = (),
    ) -> bool:
        """Write a claim where there is none, or one that an earlier delivery of the message has led to."""
        mine = [put_op(key, value, lease_id=lease_id), *ops]
        if (await self._etcd.txn([*also, absent(key)], mine)).succeeded:
            return True
        kv = await self._etcd.get(key) if errand.earlier else None
        if kv is None or ClaimRecord.model_validate_json(kv.value).delivery not in errand.earlier:
            return False
        return (await self._etcd.txn([*also, unchanged(kv)], mine)).succeeded

    async def _finish_unclaimed(self, claim: Claim, done: EtcdOp) -> bool:
        # Our lease ran out (etcd was away for long), but nobody took the task: the work is as good as ever.
        kv = await self._etcd.get(claim.task_key)
        if kv is None or Task.model_validate_json(kv.value).done:
            return False
        result = await self._etcd.txn([unchanged(kv), absent(claim.key)], [done])
        return result.succeeded


def _batches(operations: Sequence[EtcdOp]) -> list[Sequence[EtcdOp]]:
    """In portions that fit into a transaction."""
    return [operations[start : start + _OPS_PER_TXN] for start in range(0, len(operations), _OPS_PER_TXN)]


def _claimed(worker: str, errand: Errand) -> bytes:
    return ClaimRecord(worker=worker, token=secrets.token_hex(8), delivery=errand.delivery).encode()


def _part(task: Task, piece: Piece, rendition: str) -> Task:
    """A task that does one rendition of another task's piece."""
    return task.model_copy(
        update={
            "name": f"{task.name}-only-{rendition}",
            "piece": piece.model_copy(update={"renditions": (rendition,)}),
            "published_at_ms": now_ms(),
        }
    )
