"""The ring and its nodes, shown to operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.filesize import decimal

from services.admin.display.changes import pace_note
from services.admin.display.pace import Meter
from services.admin.display.tables import (
    UNKNOWN,
    count,
    from_to,
    local_time,
    show_lines,
    show_list,
    show_rows,
)
from services.admin.views.names import GONE, change_title, farewell, phase_name, standing
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_HEADINGS: Final = ("NODE", "ADDRESS", "ZONE", "WEIGHT", "STATE", "SHARE", "FILES", "STORED", "FREE")


def show_nodes(console: Console, nodes: Sequence[str]) -> None:
    """Print the addresses of the ring's nodes: a table, or one per line."""
    show_list(console, "STORAGE NODE", nodes)


def show_status(console: Console, status: pb.GetStatusResponse) -> None:
    """Print the ring, its nodes, and what is wrong with them."""
    slots = sum(node.next_partitions for node in status.nodes)
    show_lines(console, [headline(status), *_age(status)])
    present = [node for node in status.nodes if node.state != pb.NODE_STATE_REMOVED]
    show_rows(console, _HEADINGS, [_row(node, slots) for node in present])
    show_lines(console, remarks(status))


def headline(status: pb.GetStatusResponse) -> str:
    """The ring in a sentence."""
    if not status.epoch:
        return "The storage ring has not been formed yet."
    members = sum(node.state not in GONE for node in status.nodes)
    return (
        f"Ring of {count(members, 'node')} at epoch {status.epoch}, {phase_name(status.phase)}, "
        f"{count(status.replicas, 'copy')} of each file."
    )


def _age(status: pb.GetStatusResponse) -> Iterator[str]:
    if status.as_of_ms:
        yield f"etcd does not answer: this is how it was at {local_time(status.as_of_ms)}."


def remarks(status: pb.GetStatusResponse) -> Iterator[str]:
    """What an operator should know besides, a sentence each."""
    if status.HasField("change"):
        yield f"In progress: {change_title(status.change.kind, status.change.node_id)}."
        yield from _progress(status)
    for request in status.queue:
        yield f"Waiting for its turn: {change_title(request.kind, request.node_id)} ({request.request_id})."
    for suspect in status.suspects:
        yield f"{suspect.node_id} has been away since {local_time(suspect.since_ms)}{_verdict(suspect)}."
    if status.under_replicated:
        yield f"{count(status.under_replicated, 'copy')} still to be made, as far as is known."
    for node in status.nodes:
        if node.state != pb.NODE_STATE_REMOVED:
            for reason in filter(None, (node.problem, node.usage.read_only_reason)):
                yield f"{node.id}: {reason}"
    yield from _farewells([node for node in status.nodes if node.state == pb.NODE_STATE_REMOVED])
    for candidate in status.candidates:
        yield f"{candidate.id} at {candidate.address} is up and not part of the ring."


def _farewells(removed: Sequence[pb.NodeStatus]) -> Iterator[str]:
    for node in removed:
        if node.HasField("usage"):
            yield farewell(node.id, node.usage.files)
    if gone := [node.id for node in removed if not node.HasField("usage")]:
        yield f"Removed: {', '.join(gone)}."


def _progress(status: pb.GetStatusResponse) -> Iterator[str]:
    if status.progress:
        pace = Meter().look(0.0, epoch=status.epoch, nodes=status.progress)
        yield f"{pace.done:.0%} of it is done: {pace_note(pace)}."
    for node in status.progress:
        if node.waiting_for:
            yield f"{node.node_id} waits: {node.waiting_for}"


def _verdict(suspect: pb.Suspect) -> str:
    if not suspect.dead_at_ms:
        return ""
    return f", and will be declared dead at {local_time(suspect.dead_at_ms)}"


def _row(node: pb.NodeStatus, next_slots: int) -> tuple[str, ...]:
    known = node.HasField("usage")
    return (
        node.id,
        node.address,
        node.zone,
        f"{node.weight:g}",
        standing(node),
        from_to(node.share, node.next_partitions / next_slots if next_slots else node.share),
        f"{node.usage.files}" if known else UNKNOWN,
        decimal(node.usage.stored_bytes) if known else UNKNOWN,
        decimal(node.usage.free_bytes) if known else UNKNOWN,
    )
