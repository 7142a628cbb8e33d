"""Who has begun a job and not said how it ended: a job that ends its workers is found out by that.

A worker that crashes, is killed or loses its machine says nothing, and its message comes back as if nothing
had happened. So each start is noted in etcd before anything else is done, and crossed out however the job
ends, as long as there is somebody to do it. What stands there when the job comes again died with its worker.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from pydantic import Field

from services.shared.catalog import keys
from services.shared.errors import AmbiguousError, DeadlyJobError, UnavailableError
from services.shared.etcd import EtcdClient, absent, delete_op, put_op, unchanged, value_is
from services.shared.record import Record

PLAN: Final = "plan"
"""The name of the planning job; others are called as their tasks."""

_SWAP_ATTEMPTS: Final = 20


Workers = dict[str, str]
"""One entry per start without an end, in order: a token of its own, and the worker's name."""


class StartsRecord(Record):
    """The value of a key of starts."""

    workers: Workers = Field(default_factory=dict)


class Starts:
    """The notes of all jobs."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd

    @asynccontextmanager
    async def noted(
        self, video_id: str, generation: int, job: str, *, worker: str, limit: int
    ) -> AsyncIterator[None]:
        """Around a job: its start is on record, and nothing of it after the end.

        Args:
            video_id: what the job is about.
            generation: of the video.
            job: a task's name, or `PLAN`.
            worker: who begins it.
            limit: so many starts may have come to no end before this one.

        Raises:
            DeadlyJobError: there are more; the body has not run.
            UnavailableError: etcd is away; the body has not run.
        """
        key, token = keys.start(video_id, generation, job), secrets.token_hex(4)
        begun = await self._change(key, lambda workers: {**workers, token: worker}, guess={})
        try:
            if len(begun) > limit:
                raise DeadlyJobError(
                    f"Processing was given up: the worker died {limit} times in the middle of the same step.",
                    detail=f"{job} was begun, and not ended, by: {', '.join([*begun.values()][:-1])}",
                )
            yield
        finally:
            with suppress(UnavailableError):  # then one start too many stands there
                await asyncio.shield(self._change(key, lambda workers: _without(workers, token), guess=begun))

    async def of(self, video_id: str, generation: int) -> dict[str, list[str]]:
        """By job: who has begun it without having ended it."""
        prefix = keys.starts(video_id, generation)
        return {
            kv.key.removeprefix(prefix): [*StartsRecord.model_validate_json(kv.value).workers.values()]
            async for kv in self._etcd.range(prefix)
        }

    async def forget(self, video_id: str, generation: int) -> None:
        """Let a generation's jobs begin afresh."""
        await self._etcd.delete_prefix(keys.starts(video_id, generation))

    async def _change(self, key: str, decide: Callable[[Workers], Workers], *, guess: Workers) -> Workers:
        """Replace what stands there of a job by what `decide` makes of it; return that.

        Args:
            key: the record's.
            decide: gives what shall stand there; of the guess it makes something else.
            guess: what probably stands there. If it does, nothing needs to be read.

        Raises:
            UnavailableError: etcd is away, or too many change it at once.
        """
        before, as_before = guess, value_is(key, _encoded(guess)) if guess else absent(key)
        for _ in range(_SWAP_ATTEMPTS):
            after = decide(before)
            if after == before:
                return after
            write = put_op(key, _encoded(after)) if after else delete_op(key)
            with suppress(AmbiguousError):  # the next round reads what became of it
                result = await self._etcd.txn([as_before], [write])
                if result.succeeded:
                    return after
            kv = await self._etcd.get(key)
            before = StartsRecord.model_validate_json(kv.value).workers if kv else {}
            as_before = unchanged(kv) if kv else absent(key)
        raise UnavailableError(f"The record {key} is changed by too many at once.")


def _encoded(workers: Workers) -> bytes:
    return StartsRecord(workers=workers).encode()


def _without(workers: Workers, token: str) -> Workers:
    return {other: worker for other, worker in workers.items() if other != token}
