"""The operator's end of the calls about jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc

from services.shared.rpc import CHANNEL_OPTIONS, translated
from services.shared.stubs.tritontube.jobs.v1 import jobs_pb2 as pb
from services.shared.stubs.tritontube.jobs.v1 import jobs_pb2_grpc

_TIMEOUT_S: Final = 60.0
"""For a call: the broker may have thousands of messages to look through."""


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
