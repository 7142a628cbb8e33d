"""Changes of the membership, shown to operators: asked for, ended, and what one would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.filesize import decimal

from services.admin.display.pace import Pace
from services.admin.display.tables import UNKNOWN, count, from_to, local_time, show_lines, show_rows, span
from services.admin.views.names import change_title, kind_name, request_state_name
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_MOVE_HEADINGS: Final = ("NODE", "SHARE", "PARTITIONS", "RECEIVES FILES", "RECEIVES BYTES")
_REQUEST_HEADINGS: Final = ("REQUEST", "CHANGE", "NODE", "STATE", "ASKED", "TOOK", "REASON")
_MILLISECONDS: Final = 1000


def show_preview(console: Console, preview: pb.PreviewChangeResponse) -> None:
    """Print what a change would mean for each node, altogether, and what to know before."""
    show_rows(console, _MOVE_HEADINGS, [_move(node) for node in preview.nodes])
    summary = (
        f"{count(preview.partitions, 'partition')} would have other owners; "
        f"{count(preview.files, 'copy')}, {decimal(preview.moved_bytes)}, would be made."
    )
    warnings = (f"Warning: {warning}" for warning in preview.warnings)
    show_lines(console, [summary, *warnings, "Nothing was changed."])


def show_requests(console: Console, requests: Sequence[pb.ChangeRequest]) -> None:
    """Print requests, newest first."""
    if requests:
        show_rows(console, _REQUEST_HEADINGS, [_request(request) for request in requests])
    elif console.is_terminal:
        show_lines(console, ["No change has been asked for yet."])


def recorded(request: pb.ChangeRequest, server: str) -> str:
    """What is said when a change was asked for and is not waited for."""
    if request.state == pb.REQUEST_STATE_QUEUED:
        how = "is recorded, and begins when no other change is in progress"
    elif request.state == pb.REQUEST_STATE_RUNNING:
        how = "is in progress"
    else:
        return outcome(request)
    return f"{_name(request)} {how}. Follow it with: {watch_command(request.request_id, server)}"


def watch_command(request_id: str, server: str) -> str:
    """How to follow a request."""
    return f"tritontube-admin watch {server} {request_id}".rstrip()


def outcome(request: pb.ChangeRequest) -> str:
    """How a request stands, in a sentence."""
    state = request_state_name(request.state)
    if request.state == pb.REQUEST_STATE_DONE:
        return f"{_name(request)} is done{_took(request)}."
    if request.reason:
        return f"{_name(request)} was {state}: {request.reason}"
    return f"{_name(request)} was {state}."


def pace_note(pace: Pace) -> str:
    """How far, how fast, how long still: `1.2 GB moved, 3.4 GB left, 45 MB/s, 0:01:10`."""
    parts = [f"{decimal(pace.bytes_moved)} moved"]
    if pace.bytes_left:
        parts.append(f"{decimal(pace.bytes_left)} left")
    if pace.bytes_per_s is not None:
        parts.append(f"{decimal(int(pace.bytes_per_s))}/s")
    if pace.left_s is not None:
        parts.append(span(pace.left_s))
    return ", ".join(parts)


def _name(request: pb.ChangeRequest) -> str:
    return f"Request {request.request_id} ({change_title(request.kind, request.node_id)})"


def _took(request: pb.ChangeRequest) -> str:
    return f" after {_span(request)}" if request.began_at_ms and request.ended_at_ms else ""


def _span(request: pb.ChangeRequest) -> str:
    return span((request.ended_at_ms - request.began_at_ms) / _MILLISECONDS)


def _move(node: pb.NodeMove) -> tuple[str, ...]:
    before, after = node.partitions_before, node.partitions_after
    return (
        node.node_id,
        from_to(node.share_before, node.share_after),
        f"{before}" if before == after else f"{before} -> {after}",
        f"{node.files}",
        decimal(node.moved_bytes),
    )


def _request(request: pb.ChangeRequest) -> tuple[str, ...]:
    return (
        request.request_id,
        kind_name(request.kind),
        request.node_id or UNKNOWN,
        request_state_name(request.state),
        local_time(request.requested_at_ms),
        _span(request) if request.began_at_ms and request.ended_at_ms else UNKNOWN,
        request.reason or UNKNOWN,
    )
