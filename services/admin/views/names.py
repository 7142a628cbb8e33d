"""The words for what messages hold as numbers, for people and in JSON. Pure."""

from __future__ import annotations

from typing import Final

from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

FINISHED: Final = frozenset({pb.REQUEST_STATE_DONE, pb.REQUEST_STATE_REFUSED, pb.REQUEST_STATE_ABORTED})
"""States of a request in which nothing more happens to it."""

GONE: Final = frozenset({pb.NODE_STATE_DEAD, pb.NODE_STATE_REMOVED})
"""States of a node that nobody expects to be there."""


def phase_name(phase: pb.Phase.ValueType) -> str:
    """`STABLE`, `MIGRATING`."""
    return pb.Phase.Name(phase).removeprefix("PHASE_")


def node_state_name(state: pb.NodeState.ValueType) -> str:
    """`joining`, `active` and so on."""
    return pb.NodeState.Name(state).removeprefix("NODE_STATE_").lower()


def standing(node: pb.NodeStatus) -> str:
    """`active`; `active, down` of one that should be there and is not."""
    state = node_state_name(node.state)
    return state if node.live or node.state in GONE else f"{state}, down"


def farewell(node_id: str, files: int) -> str:
    """What to do with a node that was removed and is still up; `files`: that it holds."""
    if files:
        held = "1 file" if files == 1 else f"{files:,} files"
        return f"{node_id} was removed and still holds {held}: leave it on until it holds none."
    return f"{node_id} was removed and holds nothing: it may be switched off."


def kind_name(kind: pb.ChangeKind.ValueType) -> str:
    """`add`, `drain` and so on."""
    return pb.ChangeKind.Name(kind).removeprefix("CHANGE_KIND_").lower()


def request_state_name(state: pb.RequestState.ValueType) -> str:
    """`queued`, `running` and so on."""
    return pb.RequestState.Name(state).removeprefix("REQUEST_STATE_").lower()


def finding_name(kind: pb.FindingKind.ValueType) -> str:
    """`under-replicated`, `missing` and so on."""
    return pb.FindingKind.Name(kind).removeprefix("FINDING_KIND_").lower().replace("_", "-")


def change_title(kind: pb.ChangeKind.ValueType, node_id: str) -> str:
    """`drain node-1`, `rebalance`."""
    return f"{kind_name(kind)} {node_id}".rstrip()
