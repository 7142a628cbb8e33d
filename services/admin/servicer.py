"""The admin calls over gRPC: those of the original TritonTube, and the cluster's own."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NoReturn

import grpc

from services.admin.census import take_census
from services.admin.report import ring_report, unformed_report
from services.shared.errors import UnavailableError
from services.shared.ring.state import NodeState
from services.shared.ring.view import RingView
from services.shared.stubs.tritontube import admin_pb2, admin_pb2_grpc
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2, cluster_pb2_grpc
from services.shared.topology import Topology

Context = grpc.aio.ServicerContext[Any, Any]

_NEWS_TIMEOUT_S: Final = 3.0
_GONE: Final = frozenset({NodeState.DEAD, NodeState.REMOVED})
_FIXED: Final = (
    "This version forms its ring once, from the storage nodes that are there at the start; it cannot add or "
    "remove nodes later."
)


class VideoContentAdminServicer(admin_pb2_grpc.VideoContentAdminServiceServicer):
    """The service of the original TritonTube: its admin binary works here."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def ListNodes(  # noqa: N802
        self, _request: admin_pb2.ListNodesRequest, _context: Any
    ) -> admin_pb2.ListNodesResponse:
        """Addresses of the ring's members, in order.

        Raises:
            UnavailableError: the ring has not been formed, or etcd was never reached.
        """
        members = _members(await newest(self._topology))
        return admin_pb2.ListNodesResponse(nodes=sorted(members.values()))

    async def AddNode(self, _request: admin_pb2.AddNodeRequest, context: Context) -> NoReturn:  # noqa: N802
        """Refused: see the message."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, _FIXED)

    async def RemoveNode(self, _request: admin_pb2.RemoveNodeRequest, context: Context) -> NoReturn:  # noqa: N802
        """Refused: see the message."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, _FIXED)


class ClusterServicer(cluster_pb2_grpc.ClusterServiceServicer):
    """What TritonTube's operators can ask beyond the original calls."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def GetStatus(  # noqa: N802
        self, _request: cluster_pb2.GetStatusRequest, _context: Any
    ) -> cluster_pb2.GetStatusResponse:
        """The ring, and how each of its members says that it is.

        Raises:
            UnavailableError: etcd was never reached.
        """
        try:
            view = await newest(self._topology)
        except UnavailableError:
            if self._topology.heard:
                return unformed_report(self._topology.live)
            raise
        return ring_report(view, await take_census(_members(view)))


async def newest(topology: Topology) -> RingView:
    """The ring as it is now; as it was last heard of while etcd is away.

    Raises:
        UnavailableError: the ring has not been formed, or etcd was never reached.
    """
    try:
        async with asyncio.timeout(_NEWS_TIMEOUT_S):
            return await topology.refresh()
    except (TimeoutError, UnavailableError):
        return topology.view


def _members(view: RingView) -> dict[str, str]:
    """Addresses by node id, without those that were declared dead or were removed."""
    entries = view.state.nodes.items()
    return {node: view.address(node) or entry.address for node, entry in entries if entry.state not in _GONE}
