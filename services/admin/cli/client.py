"""The operator's end of the admin calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final

import grpc

from services.admin.views.names import FINISHED
from services.shared.errors import RequestError, StrangerError, UnavailableError
from services.shared.rpc import CHANNEL_OPTIONS, translated
from services.shared.stubs.tritontube import admin_pb2, admin_pb2_grpc
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2_grpc

_TIMEOUT_S: Final = 15.0
"""For a call: longer than the server waits for etcd or for a storage node."""
_CENSUS_TIMEOUT_S: Final = 120.0
"""For a call in which the server counts files on all nodes."""
_MOVE_TIMEOUT_S: Final = 3600.0
"""For a call of the original TritonTube, which answers when all files have moved."""
_PATIENCE_S: Final = 60.0
"""With a server that goes away while a change is followed: it may be starting again."""
_QUIET_S: Final = 5.0
"""Outages as short as this are not worth a word."""
_PAUSE_S: Final = 1.0


class OriginalServerError(RequestError):
    """The server is one of the original TritonTube and knows nothing of what was asked."""


class AdminClient:
    """Calls to one admin server. Each raises the errors of `services.shared.errors`."""

    def __init__(self, channel: grpc.aio.Channel, server: str) -> None:
        self._admin = admin_pb2_grpc.VideoContentAdminServiceStub(channel)
        self._cluster = cluster_pb2_grpc.ClusterServiceStub(channel)
        self._server = server

    @classmethod
    @asynccontextmanager
    async def to(cls, server: str) -> AsyncIterator[AdminClient]:
        """A client of the admin server at `host:port`."""
        async with grpc.aio.insecure_channel(server, options=CHANNEL_OPTIONS) as channel:
            yield cls(channel, server)

    # ---- what the original TritonTube knows, too ----

    async def nodes(self) -> list[str]:
        """Addresses of the storage nodes in the ring."""
        with translated(self._server):
            answer = await self._admin.ListNodes(admin_pb2.ListNodesRequest(), timeout=_TIMEOUT_S)
        return list(answer.nodes)

    async def add_node(self, address: str) -> int:
        """Add a storage node to a server of the original TritonTube; the number of files that moved."""
        with translated(self._server):
            asked = admin_pb2.AddNodeRequest(node_address=address)
            return (await self._admin.AddNode(asked, timeout=_MOVE_TIMEOUT_S)).migrated_file_count

    async def remove_node(self, address: str) -> int:
        """Remove a storage node from a server of the original TritonTube; the number of files that moved."""
        with translated(self._server):
            asked = admin_pb2.RemoveNodeRequest(node_address=address)
            return (await self._admin.RemoveNode(asked, timeout=_MOVE_TIMEOUT_S)).migrated_file_count

    # ---- the ring ----

    async def status(self) -> pb.GetStatusResponse:
        """How the ring and its nodes are."""
        async with self._asking():
            return await self._cluster.GetStatus(pb.GetStatusRequest(), timeout=_TIMEOUT_S)

    async def locate(self, key: str) -> pb.LocateFileResponse:
        """Where a file belongs, and who holds it."""
        async with self._asking():
            return await self._cluster.LocateFile(pb.LocateFileRequest(key=key), timeout=_TIMEOUT_S)

    async def check(self, request: pb.CheckFilesRequest) -> AsyncGenerator[pb.CheckFilesResponse, None]:
        """Compare what nodes hold with what they should: findings, then a summary."""
        async with self._asking():
            async for part in self._cluster.CheckFiles(request):
                yield part

    # ---- changes ----

    async def request(self, change: pb.ChangeSpec, request_id: str) -> pb.ChangeRequest:
        """Ask for a change; repeated with the same id, nothing is changed twice."""
        asked = pb.RequestChangeRequest(request_id=request_id, change=change)
        async with self._asking():
            return (await self._cluster.RequestChange(asked, timeout=_TIMEOUT_S)).request

    async def preview(self, change: pb.ChangeSpec) -> pb.PreviewChangeResponse:
        """What a change would do."""
        async with self._asking():
            asked = pb.PreviewChangeRequest(change=change)
            return await self._cluster.PreviewChange(asked, timeout=_CENSUS_TIMEOUT_S)

    async def changes(self) -> list[pb.ChangeRequest]:
        """Changes that wait, the one in progress, and the last that ended; newest first."""
        async with self._asking():
            answer = await self._cluster.ListChanges(pb.ListChangesRequest(), timeout=_TIMEOUT_S)
        return list(answer.changes)

    async def follow(
        self, request_id: str = "", *, on_outage: Callable[[str], None] = lambda _: None
    ) -> AsyncGenerator[pb.WatchChangeResponse, None]:
        """A request (else the change in progress) until it ends. A server that is away is waited for.

        Args:
            request_id: of the request; empty: of the change in progress.
            on_outage: called with a sentence, once, when nothing has been heard for a while.

        Raises:
            UnavailableError: it was away for a minute.
        """
        heard_at_s, is_told = time.monotonic(), False
        while True:
            try:
                async with aclosing(self._watch(request_id)) as stream:
                    async for news in stream:
                        heard_at_s, is_told = time.monotonic(), False
                        request_id = news.request.request_id
                        yield news
                        if news.request.state in FINISHED:
                            return
            except StrangerError:
                raise
            except UnavailableError as error:
                silent_s = time.monotonic() - heard_at_s
                if silent_s > _PATIENCE_S:
                    raise
                if silent_s > _QUIET_S and not is_told:
                    is_told = True
                    on_outage(f"{error} It is asked again and again, for a minute.")
            await asyncio.sleep(_PAUSE_S)

    async def _watch(self, request_id: str) -> AsyncGenerator[pb.WatchChangeResponse, None]:
        async with self._asking():
            async for news in self._cluster.WatchChange(pb.WatchChangeRequest(request_id=request_id)):
                yield news

    def too_old(self) -> OriginalServerError:
        """The error that says that the server can't do what was asked."""
        return OriginalServerError(
            f"{self._server} is a server of the original TritonTube: it can only list, add and remove nodes."
        )

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Tell a server that does not know a call by an error of its own."""
        try:
            with translated(self._server):
                yield
        except StrangerError as error:
            cause = error.__cause__
            if isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.UNIMPLEMENTED:
                await self.nodes()  # Who does not know this call either is no admin server at all.
                raise self.too_old() from error
            raise
