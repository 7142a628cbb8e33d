"""The service of the original TritonTube, so that its admin binary works here.

Its clients name nodes by address and give every call one second, which moving files does not fit into. So a
change is taken down, and the call answers when the change is over or shortly before the caller's patience is,
whichever comes first. The change goes on in any case.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, Final

import grpc

from services.admin.admin import Admin
from services.admin.following import follow
from services.admin.progress import files_moved
from services.admin.ring import members, newest
from services.shared.errors import ConflictError, UnavailableError
from services.shared.ring.requests import ChangeRequest, ChangeSpec, RequestState
from services.shared.ring.state import ChangeKind
from services.shared.stubs.tritontube import admin_pb2, admin_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]

_MARGIN_S: Final = 0.25
"""For the answer to reach the caller."""

_MAX_COUNT: Final = (1 << 31) - 1
_TOO_SLOW: Final = (
    "The storage node, or etcd, did not answer in the time that this call has: ask again, with more patience."
)


class VideoContentAdminServicer(admin_pb2_grpc.VideoContentAdminServiceServicer):
    """Lists, adds and removes storage nodes by address."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    async def ListNodes(  # noqa: N802
        self, _request: admin_pb2.ListNodesRequest, _context: Any
    ) -> admin_pb2.ListNodesResponse:
        """Addresses of the ring's members, in order.

        Raises:
            UnavailableError: the ring has not been formed, or etcd was never reached.
        """
        view = await newest(self._admin.topology)
        return admin_pb2.ListNodesResponse(nodes=sorted(members(view).values()))

    async def AddNode(  # noqa: N802
        self, request: admin_pb2.AddNodeRequest, context: Context
    ) -> admin_pb2.AddNodeResponse:
        """Add the storage node at an address.

        Raises:
            RequestError: that can't be done.
            UnavailableError: etcd can't be reached.
        """
        spec = ChangeSpec(kind=ChangeKind.ADD, address=request.node_address, weight=1.0)
        return admin_pb2.AddNodeResponse(migrated_file_count=await self._change(spec, context))

    async def RemoveNode(  # noqa: N802
        self, request: admin_pb2.RemoveNodeRequest, context: Context
    ) -> admin_pb2.RemoveNodeResponse:
        """Move all files off the storage node at an address, then remove it.

        Raises:
            RequestError: that can't be done.
            UnavailableError: etcd can't be reached.
        """
        spec = ChangeSpec(kind=ChangeKind.DRAIN, node=request.node_address)
        return admin_pb2.RemoveNodeResponse(migrated_file_count=await self._change(spec, context))

    async def _change(self, spec: ChangeSpec, context: Context) -> int:
        """Ask for a change, wait as long as the caller does, and return how many files have moved by then."""
        end = _end_of_patience(context)
        count = _Count()
        try:
            async with asyncio.timeout_at(end):
                request = self._asked_before(spec) or await self._admin.requests.ask(spec)
                count.is_recorded = True
                await self._wait(request, count)
        except TimeoutError as error:
            if not count.is_recorded:
                raise UnavailableError(_TOO_SLOW) from error
        return count.files

    def _asked_before(self, spec: ChangeSpec) -> ChangeRequest | None:
        """A request for the same that has not ended: this caller's own, most likely, who comes back."""
        requests = (found.record for found in self._admin.records.requests.entries.values())
        return next((request for request in requests if request.is_open and request.spec == spec), None)

    async def _wait(self, request: ChangeRequest, count: _Count) -> None:
        """Wait for the end of a request.

        Raises:
            ConflictError: it ended otherwise than it should.
        """
        async with aclosing(follow(self._admin, request)) as steps:
            async for step in steps:
                if step.state is RequestState.RUNNING:
                    count.see(files_moved(self._admin.topology.view, self._admin.records))
                elif step.state is RequestState.REFUSED:
                    raise ConflictError(step.reason)
                elif step.state is RequestState.ABORTED:
                    raise ConflictError("The change was aborted.")


class _Count:
    """Files moved by a change, as far as was seen: what nodes report begins anew when it is planned anew."""

    def __init__(self) -> None:
        self.files = 0
        self.is_recorded = False

    def see(self, files: int) -> None:
        self.files = min(max(self.files, files), _MAX_COUNT)


def _end_of_patience(context: Context) -> float | None:
    """When to answer at the latest, by the event loop's clock; None: whenever it is done."""
    left_s = context.time_remaining()
    return None if left_s is None else asyncio.get_running_loop().time() + left_s - _MARGIN_S
