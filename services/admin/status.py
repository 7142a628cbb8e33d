"""How the cluster is now, for the call over gRPC and for the page in the web service."""

from __future__ import annotations

from services.admin.admin import Admin
from services.admin.census import take_census
from services.admin.membership.ring import members, newest
from services.admin.report import ring_report, unformed_report
from services.shared.errors import UnavailableError
from services.shared.ring.state import NodeState
from services.shared.ring.view import RingView
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb


async def cluster_status(admin: Admin) -> pb.GetStatusResponse:
    """The ring, how each of its members says that it is, and what is under way.

    Raises:
        UnavailableError: etcd was never reached.
    """
    topology = admin.topology
    try:
        view, as_of_ms = await newest(topology)
    except UnavailableError:
        if topology.heard:
            return unformed_report(topology.live)
        raise
    answers = await take_census({**members(view), **_leaving(view)})
    return ring_report(view, answers, admin.records, dead_after_s=admin.dead_after_s, as_of_ms=as_of_ms)


def _leaving(view: RingView) -> dict[str, str]:
    """Addresses of nodes that were removed and are still up: they may hold files that are to go."""
    removed = {node for node, entry in view.state.nodes.items() if entry.state is NodeState.REMOVED}
    return {node: live.address for node, live in view.live.items() if node in removed}
