"""What TritonTube's operators can ask of the cluster, over gRPC."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from services.admin.admin import Admin
from services.admin.membership.following import find_request, follow
from services.admin.membership.preview import preview
from services.admin.membership.progress import progress_messages
from services.admin.membership.records import read_requests
from services.admin.patience import patience
from services.admin.status import cluster_status
from services.admin.wire import request_message, spec_of
from services.shared.errors import UnavailableError
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2_grpc

_MAX_FOLLOWERS: Final = 100


class ClusterServicer(cluster_pb2_grpc.ClusterServiceServicer):
    """The cluster's state and the changes of its membership."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._followers = 0

    async def GetStatus(  # noqa: N802
        self, _request: pb.GetStatusRequest, _context: Any
    ) -> pb.GetStatusResponse:
        """The ring, how each of its members says that it is, and what is under way.

        Raises:
            UnavailableError: etcd was never reached.
        """
        return await cluster_status(self._admin)

    async def RequestChange(  # noqa: N802
        self, request: pb.RequestChangeRequest, _context: Any
    ) -> pb.RequestChangeResponse:
        """Take a request down.

        Raises:
            RequestError: it can't be done, or makes no sense.
            UnavailableError: etcd can't be reached, or there is no ring yet.
        """
        taken = await self._admin.requests.ask(spec_of(request.change), request_id=request.request_id)
        return pb.RequestChangeResponse(request=request_message(taken))

    async def PreviewChange(  # noqa: N802
        self, request: pb.PreviewChangeRequest, _context: Any
    ) -> pb.PreviewChangeResponse:
        """What a change would do.

        Raises:
            RequestError: it can't be done, or makes no sense.
            UnavailableError: etcd can't be reached, or there is no ring yet.
        """
        async with patience():
            return await preview(self._admin, spec_of(request.change))

    async def WatchChange(  # noqa: N802
        self, request: pb.WatchChangeRequest, _context: Any
    ) -> AsyncGenerator[pb.WatchChangeResponse, None]:
        """A request as it is, then every change of that, until its end.

        Raises:
            NotFoundError: there is no such request.
            UnavailableError: etcd can't be reached, or too many are watching.
        """
        if self._followers >= _MAX_FOLLOWERS:
            raise UnavailableError("Too many follow changes through this instance: ask another one.")
        self._followers += 1
        try:
            async with aclosing(self._steps(request.request_id)) as steps:
                async for step in steps:
                    yield step
        finally:
            self._followers -= 1

    async def ListChanges(  # noqa: N802
        self, _request: pb.ListChangesRequest, _context: Any
    ) -> pb.ListChangesResponse:
        """The requests on record, newest first.

        Raises:
            UnavailableError: etcd can't be reached.
        """
        async with patience():
            requests = await read_requests(self._admin.etcd)
        return pb.ListChangesResponse(changes=[request_message(found.record) for found in reversed(requests)])

    async def CheckFiles(  # noqa: N802
        self, request: pb.CheckFilesRequest, _context: Any
    ) -> AsyncGenerator[pb.CheckFilesResponse, None]:
        """What is wrong with files, as it is found, then a summary.

        Raises:
            InvalidRequestError: that can't be the id of a video.
            NotFoundError: there is no such video.
            UnavailableError: etcd can't be reached, there is no ring yet, or enough checks are running.
        """
        async with aclosing(self._admin.checks.check(request)) as parts:
            async for part in parts:
                yield part

    async def LocateFile(  # noqa: N802
        self, request: pb.LocateFileRequest, _context: Any
    ) -> pb.LocateFileResponse:
        """Where a file belongs, and what each member of the ring says of it.

        Raises:
            InvalidRequestError: the key is malformed.
            UnavailableError: etcd can't be reached, or there is no ring yet.
        """
        return await self._admin.checks.locate(request.key)

    async def _steps(self, request_id: str) -> AsyncGenerator[pb.WatchChangeResponse, None]:
        last = None
        async with patience():
            found = await find_request(self._admin, request_id)
        async with aclosing(follow(self._admin, found)) as steps:
            async for step in steps:
                view = self._admin.topology.view
                message = pb.WatchChangeResponse(
                    request=request_message(step),
                    epoch=view.epoch,
                    nodes=progress_messages(view, self._admin.records),
                )
                if message != last:
                    yield message
                last = message
