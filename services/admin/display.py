"""What operators see: tables on a terminal, tab-separated lines in a pipe, JSON on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_NODE_HEADINGS: Final = ("NODE", "ADDRESS", "ZONE", "WEIGHT", "STATE", "SHARE", "FILES", "STORED", "FREE")
_UNKNOWN: Final = "-"


def show_nodes(console: Console, nodes: Sequence[str]) -> None:
    """Print the addresses of the ring's nodes: a table, or one per line."""
    if console.is_terminal:
        _print_table(console, ("#", "STORAGE NODE"), [(str(n), node) for n, node in enumerate(nodes, 1)])
    else:
        _print_lines(console, [(node,) for node in nodes])


def show_status(console: Console, status: pb.GetStatusResponse) -> None:
    """Print the ring, its nodes, and what is wrong with them."""
    rows = [_row(node) for node in status.nodes]
    _print_lines(console, [(headline(status),)])
    if rows and console.is_terminal:
        _print_table(console, _NODE_HEADINGS, rows)
    elif rows:
        _print_lines(console, [_NODE_HEADINGS, *rows])
    _print_lines(console, [(remark,) for remark in remarks(status)])


def headline(status: pb.GetStatusResponse) -> str:
    """The ring in a sentence."""
    if not status.epoch:
        return "The storage ring has not been formed yet."
    copies = "copy" if status.replicas == 1 else "copies"
    return (
        f"Ring of {len(status.nodes)} nodes at epoch {status.epoch}, {_phase(status)}, "
        f"{status.replicas} {copies} of each file."
    )


def remarks(status: pb.GetStatusResponse) -> Iterator[str]:
    """What an operator should know besides, a sentence each."""
    if status.HasField("change"):
        yield f"In progress: {_change_kind(status.change)} {status.change.node_id}".rstrip() + "."
    for node in status.nodes:
        for reason in filter(None, (node.problem, node.usage.read_only_reason)):
            yield f"{node.id}: {reason}"
    for candidate in status.candidates:
        yield f"{candidate.id} at {candidate.address} is up and not part of the ring."


def status_record(status: pb.GetStatusResponse) -> dict[str, Any]:
    """The status for JSON; `epoch` is null until the ring has been formed."""
    formed = bool(status.epoch)
    return {
        "cluster_id": status.cluster_id or None,
        "epoch": status.epoch if formed else None,
        "phase": _phase(status) if formed else None,
        "replicas": status.replicas if formed else None,
        "write_quorum": status.write_quorum if formed else None,
        "partitions": status.partitions,
        "nodes": [_node_record(node) for node in status.nodes],
        "candidates": [{"id": c.id, "address": c.address, "zone": c.zone} for c in status.candidates],
        "change": _change_record(status.change) if status.HasField("change") else None,
    }


def _node_record(node: pb.NodeStatus) -> dict[str, Any]:
    return {
        "id": node.id,
        "address": node.address,
        "zone": node.zone,
        "weight": node.weight,
        "state": _state(node),
        "live": node.live,
        "partitions": node.partitions,
        "next_partitions": node.next_partitions,
        "share": node.share,
        "usage": _usage_record(node.usage) if node.HasField("usage") else None,
        "problem": node.problem or None,
    }


def _usage_record(usage: pb.NodeUsage) -> dict[str, Any]:
    return {
        "files": usage.files,
        "stored_bytes": usage.stored_bytes,
        "free_bytes": usage.free_bytes,
        "capacity_bytes": usage.capacity_bytes,
        "epoch": usage.epoch,
        "read_only_reason": usage.read_only_reason or None,
    }


def _change_record(change: pb.Change) -> dict[str, Any]:
    return {"id": change.id, "kind": _change_kind(change), "node": change.node_id or None}


def _row(node: pb.NodeStatus) -> tuple[str, ...]:
    known = node.HasField("usage")
    return (
        node.id,
        node.address,
        node.zone,
        f"{node.weight:g}",
        _state(node) if node.live else f"{_state(node)}, down",
        f"{node.share:.1%}",
        f"{node.usage.files}" if known else _UNKNOWN,
        decimal(node.usage.stored_bytes) if known else _UNKNOWN,
        decimal(node.usage.free_bytes) if known else _UNKNOWN,
    )


def _phase(status: pb.GetStatusResponse) -> str:
    return pb.Phase.Name(status.phase).removeprefix("PHASE_")


def _state(node: pb.NodeStatus) -> str:
    return pb.NodeState.Name(node.state).removeprefix("NODE_STATE_").lower()


def _change_kind(change: pb.Change) -> str:
    return pb.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_").lower()


def _print_table(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*headings, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _print_lines(console: Console, rows: Sequence[Sequence[str]]) -> None:
    """Exactly as they are: nothing wrapped, coloured or cut."""
    for row in rows:
        console.file.write("\t".join(row) + "\n")
