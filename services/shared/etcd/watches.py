"""Watching a prefix: every change once and in order, whatever happens to the members.

A broken watch goes on at the last event's revision + 1, on the next endpoint. Not at the revision in a
response's header, nor at that of a progress notification: events up to it may still be on their way (etcd 3.4
sends them so), and would be lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator
from typing import TypeAlias

from grpc import StatusCode
from grpc.aio import StreamStreamCall

from services.shared.errors import InvalidRequestError
from services.shared.etcd.calls import Caller, Connection
from services.shared.etcd.failures import AttemptError, CompactedError, Verdict, as_error
from services.shared.etcd.ranges import prefix_range
from services.shared.etcd.records import WatchEvent
from services.shared.etcd.revisions import Revisions
from services.shared.stubs.etcd import rpc_pb2

log = logging.getLogger(__name__)

_QUEUE_EVENTS = 1000
_FIRST_PAUSE_S = 0.05
_MAX_PAUSE_S = 1.0
_DENIALS = ("permission denied", "user name is empty")
_BELIEVED_DENIALS = 3

_Events: TypeAlias = asyncio.Queue[WatchEvent | Exception]
_Call: TypeAlias = "StreamStreamCall[rpc_pb2.WatchRequest, rpc_pb2.WatchResponse]"


class WatchCalls:
    """Following changes."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def watch(
        self, prefix: str, *, start_revision: int, with_prev: bool = False
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield every change from `start_revision` on of the keys that begin with `prefix`, for ever.

        It outlives failures of members and of the whole cluster: then it waits. A slow consumer slows the
        stream down and loses nothing. Leaving the loop early, close the generator (`contextlib.aclosing`).

        Args:
            prefix: which keys.
            start_revision: the first store revision to report, at least 1; after a listing its revision + 1.
            with_prev: also give each event the record before it.

        Raises:
            CompactedError: the changes from there on are no longer all kept: list again (`follow` does).
            RequestError: this user may not read these keys.
        """
        if start_revision < 1:
            raise InvalidRequestError(f"etcd: a watch cannot start at revision {start_revision}")
        events: _Events = asyncio.Queue(_QUEUE_EVENTS)
        watcher = _Watcher(self._caller, events, prefix, start_revision, with_prev=with_prev)
        pump = asyncio.create_task(watcher.run(), name=f"etcd watch {prefix}")
        try:
            while True:
                event = await events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            pump.cancel()
            await asyncio.wait([pump])


class _Watcher:
    """One watch, over as many streams as it takes."""

    def __init__(
        self, caller: Caller, events: _Events, prefix: str, start_revision: int, *, with_prev: bool
    ) -> None:
        self._caller = caller
        self._events = events
        self._prefix = prefix
        key, range_end = prefix_range(prefix)
        self._create = rpc_pb2.WatchCreateRequest(
            key=key, range_end=range_end, start_revision=start_revision, prev_kv=with_prev, fragment=True
        )
        self._failures = 0
        self._denials = 0

    async def run(self) -> None:
        """Put events into the queue; an exception as the last item, when it cannot go on."""
        try:
            while True:
                await self._try_stream()
                await asyncio.sleep(self._pause_s())
                self._failures += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the consumer must hear of it
            await self._events.put(error)

    async def _try_stream(self) -> None:
        try:
            async with self._caller.attempt(timeout_s=self._timeout_s()) as connection:
                await self._follow(connection)
        except AttemptError as error:
            log.info("etcd watch on %r goes on: %s", self._prefix, error)

    async def _follow(self, connection: Connection) -> None:
        """Follow one stream until it breaks."""
        call = connection.stubs.watch.Watch(metadata=connection.metadata)
        revisions = Revisions()
        try:
            await self._take(await self._opened(call, connection.timeout_s), revisions)
            while True:
                await self._take(await call.read(), revisions)
        finally:
            call.cancel()

    async def _opened(self, call: _Call, timeout_s: float) -> object:
        """Return the first response. A frozen member would never send one."""
        try:
            async with asyncio.timeout(timeout_s):
                await call.write(rpc_pb2.WatchRequest(create_request=self._create))
                return await call.read()
        except TimeoutError as error:
            raise AttemptError(Verdict.UNKNOWN, f"no watch in {timeout_s:.1f} s") from error

    async def _take(self, response: object, revisions: Revisions) -> None:
        """Hand on the events of a response, and move the place where the next stream begins along."""
        if not isinstance(response, rpc_pb2.WatchResponse):
            raise AttemptError(Verdict.UNKNOWN, "the member ended the stream")
        if response.canceled:
            self._denials += 1
            raise why_canceled(response, denials=self._denials)
        self._failures = self._denials = 0
        events = [WatchEvent.from_wire(event) for event in response.events]
        for event in revisions.complete(events, more=response.fragment):
            await self._events.put(event)
            self._create.start_revision = event.kv.mod_revision + 1

    def _timeout_s(self) -> float:
        timing, endpoints = self._caller.timing, len(self._caller.pool.endpoints)
        return timing.attempt(self._failures + 1, endpoints=endpoints, left_s=timing.deadline_s)

    def _pause_s(self) -> float:
        spread = random.uniform(0.5, 1.0)  # noqa: S311 - keeps watchers apart, guards nothing
        return spread * min(_MAX_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))


def why_canceled(response: rpc_pb2.WatchResponse, *, denials: int) -> Exception:
    """Return what the end of a watch by etcd means; `denials` counts such ends in a row, this one included.

    etcd 3.4 says "permission denied" also to a token that expired, so it is believed only when logging in
    again did not help.
    """
    reason = response.cancel_reason or "the member ended the watch without a reason"
    if response.compact_revision:
        return CompactedError(f"etcd: {reason}", compact_revision=response.compact_revision)
    if any(denial in reason for denial in _DENIALS):
        denied = as_error(StatusCode.PERMISSION_DENIED, reason)
        return denied if denials > _BELIEVED_DENIALS else AttemptError(Verdict.STALE_TOKEN, reason)
    return AttemptError(Verdict.STALE_TOKEN if "auth" in reason else Verdict.UNKNOWN, reason)
