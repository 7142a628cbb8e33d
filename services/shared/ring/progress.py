"""What storage nodes report of their part in a change, and what is known of those that are away.

Reports are for display and for completing a change (`SyncReport`); where files belong is decided from
`RingState` alone.
"""

from __future__ import annotations

from typing import Final

from services.shared.record import Record

SUSPECT_PREFIX: Final = "ring/suspects/"


def suspect_key(node_id: str) -> str:
    """Where it is noted since when a node has been away."""
    return f"{SUSPECT_PREFIX}{node_id}"


class SyncReport(Record):
    """Value of `ring/sync/<epoch>/<node>`: every file that the node had to hand over is confirmed."""

    files: int
    """That were confirmed by their owners, at this epoch."""
    at_ms: int


class Progress(Record):
    """Value of `ring/progress/<node>`: how far a node is with handing files over."""

    epoch: int
    partitions: int = 0
    """That it has to see to at this epoch."""
    partitions_done: int = 0
    files_moved: int = 0
    bytes_moved: int = 0
    files_left: int = 0
    """Copies known to be lacking at owners still: while STABLE, what is under-replicated."""
    bytes_left: int = 0
    waiting_for: str = ""
    """Empty, or a sentence that says what keeps it from going on: a full disk, a node that is away."""
    at_ms: int


class Suspect(Record):
    """Value of `ring/suspects/<node>`: a member of the ring has lost its lease."""

    since_ms: int
