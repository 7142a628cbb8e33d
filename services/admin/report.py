"""What is known of the cluster as the message that operators get. Asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.admin.census import Answer
from services.admin.membership.progress import progress_messages, under_replicated
from services.admin.membership.records import Records
from services.admin.wire import KINDS, request_message
from services.shared.ring.placement import PARTITIONS
from services.shared.ring.state import AT_WORK, Change, NodeLive, NodeState, Phase
from services.shared.ring.view import RingView
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_PHASES: Final = {Phase.STABLE: pb.PHASE_STABLE, Phase.MIGRATING: pb.PHASE_MIGRATING}
_STATES: Final = {
    NodeState.JOINING: pb.NODE_STATE_JOINING,
    NodeState.ACTIVE: pb.NODE_STATE_ACTIVE,
    NodeState.DRAINING: pb.NODE_STATE_DRAINING,
    NodeState.DEAD: pb.NODE_STATE_DEAD,
    NodeState.REMOVED: pb.NODE_STATE_REMOVED,
}


def unformed_report(live: Mapping[str, NodeLive]) -> pb.GetStatusResponse:
    """The status while there is no ring."""
    return pb.GetStatusResponse(partitions=PARTITIONS, candidates=_candidates(live))


def ring_report(
    view: RingView,
    answers: Mapping[str, Answer],
    records: Records | None = None,
    *,
    dead_after_s: float = 0.0,
    as_of_ms: int = 0,
) -> pb.GetStatusResponse:
    """The status of the ring.

    Args:
        view: the ring.
        answers: of the nodes that were asked.
        records: what is under way; None: nothing is known of that.
        dead_after_s: how long a member may be away; 0: for ever.
        as_of_ms: when etcd last told of it, where it does not answer; 0: just now.
    """
    state, records = view.state, records or Records()
    strangers = {node: live for node, live in view.live.items() if node not in state.nodes}
    return pb.GetStatusResponse(
        cluster_id=state.cluster_id,
        epoch=state.epoch,
        phase=_PHASES[state.phase],
        replicas=state.replicas,
        write_quorum=state.write_quorum,
        partitions=PARTITIONS,
        nodes=[_node(view, node, answers.get(node, Answer())) for node in sorted(state.nodes)],
        candidates=_candidates(strangers),
        change=_change(state.change) if state.change else None,
        suspects=_suspects(view, records, dead_after_s=dead_after_s),
        queue=[request_message(entry.record) for entry in records.queue],
        progress=progress_messages(view, records),
        under_replicated=under_replicated(view, records),
        as_of_ms=as_of_ms,
    )


def _node(view: RingView, node: str, answer: Answer) -> pb.NodeStatus:
    entry = view.state.nodes[node]
    return pb.NodeStatus(
        id=node,
        address=view.address(node) or entry.address,
        zone=entry.zone,
        weight=entry.weight,
        state=_STATES[entry.state],
        live=node in view.up,
        partitions=view.cur.counts[node],
        next_partitions=(view.next or view.cur).counts[node],
        share=view.cur.counts[node] / view.cur.counts.total(),
        usage=_usage(answer),
        problem=answer.problem,
    )


def _usage(answer: Answer) -> pb.NodeUsage | None:
    found = answer.description
    if found is None:
        return None
    return pb.NodeUsage(
        files=found.files,
        stored_bytes=found.stored_bytes,
        free_bytes=found.free_bytes,
        capacity_bytes=found.capacity_bytes,
        epoch=found.epoch,
        read_only_reason=found.read_only_reason,
    )


def _change(change: Change) -> pb.Change:
    return pb.Change(id=change.id, kind=KINDS[change.kind], node_id=change.node or "")


def _suspects(view: RingView, records: Records, *, dead_after_s: float) -> list[pb.Suspect]:
    """Members that are away. Notes of nodes that are back, or gone for good, are on their way out."""
    away = (
        node for node, entry in view.state.nodes.items() if entry.state in AT_WORK and node not in view.up
    )
    found = ((node, records.suspects.record(node)) for node in sorted(away))
    return [
        pb.Suspect(
            node_id=node,
            since_ms=suspect.since_ms,
            dead_at_ms=suspect.since_ms + int(dead_after_s * 1000) if dead_after_s else 0,
        )
        for node, suspect in found
        if suspect
    ]


def _candidates(live: Mapping[str, NodeLive]) -> list[pb.Candidate]:
    return [
        pb.Candidate(id=node.id, address=node.address, zone=node.zone)
        for node in sorted(live.values(), key=lambda node: node.id)
    ]
