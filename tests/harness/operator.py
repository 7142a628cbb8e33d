"""An operator who asks an admin for changes, in the terms of the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc

from services.shared.rpc import CHANNEL_OPTIONS
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2_grpc
from tests.harness.storage import StorageNode
from tests.harness.waiting import eventually
from tests.harness.web import WebProcess

_CALL_TIMEOUT_S: Final = 20.0
_CHANGE_DEADLINE_S: Final = 180.0
_OVER: Final = frozenset({pb.REQUEST_STATE_DONE, pb.REQUEST_STATE_REFUSED, pb.REQUEST_STATE_ABORTED})


class Operator:
    """Talks to one admin."""

    def __init__(self, stub: cluster_pb2_grpc.ClusterServiceAsyncStub) -> None:
        self._stub = stub

    async def add(self, node: StorageNode, *, request_id: str = "") -> pb.ChangeRequest:
        """Ask for a node to become a member."""
        return await self.ask(pb.ChangeSpec(add=pb.AddNode(address=node.address)), request_id=request_id)

    async def drain(self, node: StorageNode) -> pb.ChangeRequest:
        """Ask for a node to be emptied and removed."""
        return await self.ask(pb.ChangeSpec(drain=pb.DrainNode(node=node.id)))

    async def give_up(self, node_id: str, *, accept_data_loss: bool = False) -> pb.ChangeRequest:
        """Ask for a node to be declared dead."""
        death = pb.RemoveDeadNode(node=node_id, accept_data_loss=accept_data_loss)
        return await self.ask(pb.ChangeSpec(remove_dead=death))

    async def abort(self) -> pb.ChangeRequest:
        """Ask for the change in progress to be taken back."""
        return await self.ask(pb.ChangeSpec(abort=pb.Abort()))

    async def ask(self, change: pb.ChangeSpec, *, request_id: str = "") -> pb.ChangeRequest:
        """Ask for a change; returns once that is on record."""
        message = pb.RequestChangeRequest(request_id=request_id, change=change)
        return (await self._stub.RequestChange(message, timeout=_CALL_TIMEOUT_S)).request

    async def changes(self) -> dict[str, pb.ChangeRequest]:
        """All requests on record, by id."""
        answer = await self._stub.ListChanges(pb.ListChangesRequest(), timeout=_CALL_TIMEOUT_S)
        return {change.request_id: change for change in answer.changes}

    async def status(self) -> pb.GetStatusResponse:
        """How the cluster is."""
        return await self._stub.GetStatus(pb.GetStatusRequest(), timeout=_CALL_TIMEOUT_S)

    async def done(self, request: pb.ChangeRequest) -> None:
        """Wait until a change is complete."""
        ended = await self.ended(request)
        assert ended.state == pb.REQUEST_STATE_DONE, ended

    async def ended(self, request: pb.ChangeRequest) -> pb.ChangeRequest:
        """Wait until a request is done, refused or aborted."""

        async def over() -> pb.ChangeRequest | None:
            found = (await self.changes())[request.request_id]
            assert found.state in _OVER, found
            return found

        return await eventually(
            over, deadline_s=_CHANGE_DEADLINE_S, what=f"the change {request.request_id} is over"
        )


@asynccontextmanager
async def operator(admin: WebProcess) -> AsyncIterator[Operator]:
    """An operator at this admin."""
    address = f"127.0.0.1:{admin.admin_port}"
    async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        yield Operator(cluster_pb2_grpc.ClusterServiceStub(channel))
