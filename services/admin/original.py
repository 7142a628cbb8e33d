"""The service of the original TritonTube, so that its admin binary works here.

Its clients name nodes by address and give every call one second, which moving files does not fit into. So a
change is taken down, and the call answers when the change is over or shortly before the caller's patience is,
whichever comes first. The change goes on in any case.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import grpc

from services.admin.admin import Admin
from services.admin.membership.following import follow
from services.admin.membership.progress import files_moved
from services.admin.membership.requests import MAX_WAITING
from services.admin.membership.ring import members, newest
from services.shared.errors import ConflictError, UnavailableError
from services.shared.ring.requests import ChangeRequest, ChangeSpec, RequestState
from services.shared.ring.state import ChangeKind
from services.shared.stubs.tritontube import admin_pb2, admin_pb2_grpc

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]

_MARGIN_S: Final = 0.2
"""For the answer to reach the caller."""

_ETCD_PATIENCE_S: Final = 0.5
"""A list is better a little old than late."""

_MAX_COUNT: Final = (1 << 31) - 1
_TOO_SLOW: Final = (
    "The storage node, or etcd, did not answer in the time that this call has. It is tried for some seconds"
    " more: ask again, or list the nodes, to learn what came of it."
)


class VideoContentAdminServicer(admin_pb2_grpc.VideoContentAdminServiceServicer):
    """Lists, adds and removes storage nodes by address."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._asking: dict[ChangeSpec, asyncio.Task[ChangeRequest]] = {}

    async def ListNodes(  # noqa: N802
        self, _request: admin_pb2.ListNodesRequest, _context: Context
    ) -> admin_pb2.ListNodesResponse:
        """Addresses of the ring's members, in order.

        Raises:
            UnavailableError: the ring has not been formed, or etcd was never reached.
        """
        found = await newest(self._admin.topology, patience_s=_ETCD_PATIENCE_S)
        return admin_pb2.ListNodesResponse(nodes=sorted(members(found.view).values()))

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
                request = self._asked_before(spec) or await self._asked(spec)
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

    async def _asked(self, spec: ChangeSpec) -> ChangeRequest:
        """Ask, in a task that goes on without the caller: just to examine a node may take its second."""
        if spec not in self._asking:
            if len(self._asking) >= MAX_WAITING:
                raise UnavailableError("Too many changes are asked for at the same time: ask again later.")
            self._asking[spec] = asyncio.create_task(self._admin.requests.ask(spec), name=f"ask: {spec.kind}")
            self._asking[spec].add_done_callback(partial(self._answered, spec))
        return await asyncio.shield(self._asking[spec])

    def _answered(self, spec: ChangeSpec, task: asyncio.Task[ChangeRequest]) -> None:
        del self._asking[spec]
        if not task.cancelled() and (error := task.exception()):
            log.info("%s %s is not taken down: %s", spec.kind, spec.address or spec.node, error)

    async def _wait(self, request: ChangeRequest, count: _Count) -> None:
        """Wait for the end of a request.

        Raises:
            ConflictError: it ended otherwise than it should.
        """
        async with aclosing(follow(self._admin, request)) as steps:
            async for step in steps:
                count.see(files_moved(step, self._admin.records))
                if step.state is RequestState.REFUSED:
                    raise ConflictError(step.reason)
                if step.state is RequestState.ABORTED:
                    raise ConflictError("The change was aborted.")


class _Count:
    """Files moved by a change, as far as was seen: what nodes tell begins anew with each epoch."""

    def __init__(self) -> None:
        self.files = 0
        self.is_recorded = False

    def see(self, files: int) -> None:
        self.files = min(max(self.files, files), _MAX_COUNT)


def _end_of_patience(context: Context) -> float | None:
    """When to answer at the latest, by the event loop's clock; None: whenever it is done."""
    left_s = context.time_remaining()
    return None if left_s is None else asyncio.get_running_loop().time() + left_s - _MARGIN_S
