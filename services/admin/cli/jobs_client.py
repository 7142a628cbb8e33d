"""The operator's end of the calls about jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc

from services.shared.errors import StrangerError, UnavailableError
from services.shared.rpc import CHANNEL_OPTIONS, translated
from services.shared.stubs.tritontube.jobs.v1 import jobs_pb2 as pb
from services.shared.stubs.tritontube.jobs.v1 import jobs_pb2_grpc

_TIMEOUT_S: Final = 180.0
"""For a call: the broker may have tens of thousands of messages to look through, a thousand a second."""
_PATIENCE_S: Final = 60.0
"""With a server that goes away while it is asked again and again: it may be starting anew."""
_PAUSE_S: Final = 0.5


class JobsClient:
    """Calls to one admin server. Each raises the errors of `services.shared.errors`."""

    def __init__(self, channel: grpc.aio.Channel, server: str) -> None:
        self._jobs = jobs_pb2_grpc.JobsServiceStub(channel)
        self._server = server

    @classmethod
    @asynccontextmanager
    async def to(cls, server: str) -> AsyncIterator[JobsClient]:
        """A client of the admin server at `host:port`."""
        async with grpc.aio.insecure_channel(server, options=CHANNEL_OPTIONS) as channel:
            yield cls(channel, server)

    async def dead(self, selection: pb.Selection, *, limit: int) -> list[pb.DeadLetter]:
        """The jobs that were given up."""
        with translated(self._server):
            request = pb.ListDeadRequest(selection=selection, limit=limit)
            return list((await self._jobs.ListDead(request, timeout=_TIMEOUT_S)).letters)

    async def requeue(self, selection: pb.Selection) -> pb.RequeueResponse:
        """Have them done after all."""
        with translated(self._server):
            return await self._jobs.Requeue(pb.RequeueRequest(selection=selection), timeout=_TIMEOUT_S)

    async def discard(self, selection: pb.Selection) -> int:
        """Throw them away; how many."""
        with translated(self._server):
            request = pb.DiscardRequest(selection=selection)
            return (await self._jobs.Discard(request, timeout=_TIMEOUT_S)).discarded

    async def tasks(self, video_id: str) -> pb.ListTasksResponse:
        """The tasks of a video."""
        with translated(self._server):
            return await self._jobs.ListTasks(pb.ListTasksRequest(video_id=video_id), timeout=_TIMEOUT_S)

    async def cancel(self, video_id: str) -> None:
        """Stop processing a video."""
        with translated(self._server):
            await self._jobs.Cancel(pb.CancelRequest(video_id=video_id), timeout=_TIMEOUT_S)

    async def redo(self, video_id: str, *, piece: int | None, track: str) -> list[str]:
        """Do finished tasks of a video again; their names."""
        with translated(self._server):
            request = pb.RedoRequest(video_id=video_id, piece=piece, track=track)
            return list((await self._jobs.Redo(request, timeout=_TIMEOUT_S)).tasks)

    async def verify(self, video_id: str, *, look_only: bool) -> int:
        """Have a video looked at as a whole; when that was asked for, in milliseconds since 1970."""
        with translated(self._server):
            request = pb.VerifyRequest(video_id=video_id, look_only=look_only)
            return (await self._jobs.Verify(request, timeout=_TIMEOUT_S)).requested_at_ms

    async def verification(self, video_id: str) -> pb.Verification | None:
        """What has been found of a video; None: nobody has looked."""
        with translated(self._server):
            request = pb.GetVerificationRequest(video_id=video_id)
            answer = await self._jobs.GetVerification(request, timeout=_TIMEOUT_S)
        return answer.verification if answer.HasField("verification") else None

    async def verified(self, video_id: str, *, since_ms: int) -> pb.Verification:
        """Wait for the verdict on a request; a server that is away for a moment is waited for.

        Raises:
            NotFoundError: the video was deleted.
            UnavailableError: the server was away for a minute.
        """
        heard_at_s = time.monotonic()
        while True:
            try:
                found = await self.verification(video_id)
                heard_at_s = time.monotonic()
                if found and found.finished_at_ms and found.requested_at_ms >= since_ms:
                    return found
            except StrangerError:
                raise
            except UnavailableError:
                if time.monotonic() - heard_at_s > _PATIENCE_S:
                    raise
            await asyncio.sleep(_PAUSE_S)
