"""Between the messages that operators send and get, and the records behind them. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from services.shared.errors import InvalidRequestError
from services.shared.ring.requests import ChangeRequest, ChangeSpec, RequestState
from services.shared.ring.state import ChangeKind
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

KINDS: Final = {
    ChangeKind.ADD: pb.CHANGE_KIND_ADD,
    ChangeKind.DRAIN: pb.CHANGE_KIND_DRAIN,
    ChangeKind.DEAD: pb.CHANGE_KIND_DEAD,
    ChangeKind.REPLACE: pb.CHANGE_KIND_REPLACE,
    ChangeKind.REBALANCE: pb.CHANGE_KIND_REBALANCE,
    ChangeKind.ABORT: pb.CHANGE_KIND_ABORT,
}
_STATES: Final = {
    RequestState.QUEUED: pb.REQUEST_STATE_QUEUED,
    RequestState.RUNNING: pb.REQUEST_STATE_RUNNING,
    RequestState.DONE: pb.REQUEST_STATE_DONE,
    RequestState.REFUSED: pb.REQUEST_STATE_REFUSED,
    RequestState.ABORTED: pb.REQUEST_STATE_ABORTED,
}


def spec_of(message: pb.ChangeSpec) -> ChangeSpec:
    """What is asked for.

    Raises:
        InvalidRequestError: nothing is, or something that no ring could do.
    """
    kind = message.WhichOneof("kind")
    if kind is None:
        raise InvalidRequestError("Say which change: none is named.")
    return _SPECS[kind](getattr(message, kind))


def request_message(request: ChangeRequest) -> pb.ChangeRequest:
    """A request as operators see it."""
    return pb.ChangeRequest(
        request_id=request.id,
        kind=KINDS[request.spec.kind],
        node_id=request.node,
        state=_STATES[request.state],
        reason=request.reason,
        requested_at_ms=request.requested_at_ms,
        began_at_ms=request.began_at_ms,
        ended_at_ms=request.ended_at_ms,
        files_moved=request.files_moved,
        bytes_moved=request.bytes_moved,
    )


def _weight(weight: float) -> float:
    if not (math.isfinite(weight) and weight > 0):
        raise InvalidRequestError(
            f"A node's weight is a number above 0, 1 being the usual one: not {weight:g}."
        )
    return weight


def _add(message: pb.AddNode) -> ChangeSpec:
    return ChangeSpec(kind=ChangeKind.ADD, address=message.address, weight=_weight(message.weight or 1.0))


def _drain(message: pb.DrainNode) -> ChangeSpec:
    return ChangeSpec(
        kind=ChangeKind.DRAIN, node=message.node, accept_fewer_copies=message.accept_fewer_copies
    )


def _remove_dead(message: pb.RemoveDeadNode) -> ChangeSpec:
    return ChangeSpec(kind=ChangeKind.DEAD, node=message.node, accept_data_loss=message.accept_data_loss)


def _replace(message: pb.ReplaceNode) -> ChangeSpec:
    return ChangeSpec(
        kind=ChangeKind.REPLACE,
        node=message.node,
        address=message.address,
        accept_data_loss=message.accept_data_loss,
    )


def _set_weight(message: pb.SetWeight) -> ChangeSpec:
    if not message.node:
        raise InvalidRequestError("Say whose weight: name a storage node by id, or by address as host:port.")
    return ChangeSpec(kind=ChangeKind.REBALANCE, node=message.node, weight=_weight(message.weight))


def _rebalance(_: pb.Rebalance) -> ChangeSpec:
    return ChangeSpec(kind=ChangeKind.REBALANCE)


def _abort(_: pb.Abort) -> ChangeSpec:
    return ChangeSpec(kind=ChangeKind.ABORT)


_SPECS: Final[dict[str, Callable[[Any], ChangeSpec]]] = {
    "add": _add,
    "drain": _drain,
    "remove_dead": _remove_dead,
    "replace": _replace,
    "set_weight": _set_weight,
    "rebalance": _rebalance,
    "abort": _abort,
}
