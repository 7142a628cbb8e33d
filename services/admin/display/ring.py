"""The ring as a picture: a bar per node, as long as its share. And where in it a file belongs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from rich.console import Console

from services.admin.display.status import headline
from services.admin.display.tables import UNKNOWN, from_to, show_lines, show_rows
from services.admin.views.names import standing
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_WIDTH: Final = 40
_COPY_HEADINGS: Final = ("NODE", "OWNER", "HOLDS IT", "PROBLEM")


class Pens(NamedTuple):
    """What bars are drawn with: what stays, what is to come, what is to go."""

    stays: str
    comes: str
    goes: str


BLOCKS: Final = Pens("█", "▒", "░")
LETTERS: Final = Pens("#", "+", "-")
"""For terminals and files that have no blocks."""


def show_ring(console: Console, status: pb.GetStatusResponse) -> None:
    """Print the shares of the nodes as bars."""
    pens = LETTERS if console.options.ascii_only else BLOCKS
    show_lines(console, [headline(status), *bars(status, pens)])


def bars(status: pb.GetStatusResponse, pens: Pens) -> Iterator[str]:
    """A line per node that has a share or will have one; while files move, a key to the picture."""
    nodes = [node for node in status.nodes if node.partitions or node.next_partitions]
    longest = max((max(node.partitions, node.next_partitions) for node in nodes), default=0)
    slots = sum(node.next_partitions for node in nodes)
    names = max((len(node.id) for node in nodes), default=0)
    for node in nodes:
        share = (
            from_to(node.share, node.next_partitions / slots) if slots else from_to(node.share, node.share)
        )
        yield f"{node.id:<{names}}  {standing(node):<14}  {_bar(node, longest, pens):<{_WIDTH}}  {share}"
    if any(node.partitions != node.next_partitions for node in nodes):
        yield f"{pens.stays} stays  {pens.comes} is to come  {pens.goes} is to go"


def show_location(console: Console, location: pb.LocateFileResponse) -> None:
    """Print where a file belongs, and which nodes have it."""
    show_lines(console, [f"Partition {location.partition}, position {location.position:#018x}."])
    show_rows(console, _COPY_HEADINGS, [_copy(copy) for copy in location.copies])


def _bar(node: pb.NodeStatus, longest: int, pens: Pens) -> str:
    now, then = (round(_WIDTH * slots / longest) for slots in (node.partitions, node.next_partitions))
    return pens.stays * min(now, then) + pens.comes * (then - now) + pens.goes * (now - then)


def _copy(copy: pb.CopyStatus) -> tuple[str, ...]:
    times = [time for time, owns in (("now", copy.owner), ("after the change", copy.next_owner)) if owns]
    held = "yes" if copy.held else "unknown" if copy.problem else "no"
    return copy.node_id, ", ".join(times) or "no", held, copy.problem or UNKNOWN
