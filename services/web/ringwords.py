"""The cluster's state in words, for its page. Asks nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

from services.admin.views.changes import RequestView
from services.admin.views.cluster import ChangeView, ClusterView, NodeView
from services.web import wording
from services.web.health import OK
from services.web.lookout import ClusterStateView, PaceView

_MEMBERS: Final = frozenset({"joining", "active", "draining"})
_TITLES: Final = {
    "add": "Adding {node}",
    "drain": "Emptying {node}",
    "dead": "Making the copies of {node} anew",
    "replace": "Replacing {node}",
    "rebalance": "Spreading files anew",
    "abort": "Moving files back",
}


class Tone(StrEnum):
    """How a sentence is meant."""

    GOOD = "good"
    BUSY = "busy"
    WARNING = "warning"
    BAD = "bad"


class Verdict(NamedTuple):
    """The whole cluster in a sentence."""

    tone: Tone
    sentence: str


def verdict(state: ClusterStateView) -> Verdict:
    """The sentence that is read first: what is amiss comes before what merely goes on."""
    cluster = state.cluster
    if cluster.epoch is None:
        return Verdict(Tone.WARNING, "The storage ring has not been formed yet.")
    return (
        _nodes_away(cluster, [node.id for node in cluster.nodes if is_away(node)])
        or _services_away([name for name, said in state.services.items() if said != OK])
        or _goings_on(cluster)
        or Verdict(Tone.GOOD, "All is well.")
    )


def is_away(node: NodeView) -> bool:
    """Whether a node should be there and is not."""
    return node.state in _MEMBERS and not node.live


def change_title(change: ChangeView | RequestView) -> str:
    """`Adding node-4`."""
    return _TITLES[change.kind].format(node=change.node or "a node")


def pace_words(pace: PaceView) -> list[str]:
    """How much was moved, how much is left, how fast, how long still; what is not known is left out."""
    words = [f"{wording.size(pace.bytes_moved)} moved"]
    if pace.bytes_left:
        words.append(f"{wording.size(pace.bytes_left)} left")
    if pace.bytes_per_s:
        words.append(f"{wording.size(int(pace.bytes_per_s))} per second")
    if pace.left_s:
        words.append(f"{wording.duration(pace.left_s)} to go")
    return words


def since(moment: datetime) -> str:
    """`3 minutes ago`."""
    return wording.age((datetime.now(UTC) - moment).total_seconds())


def until(moment: datetime) -> str:
    """`in 4:07`, `now`."""
    left_s = (moment - datetime.now(UTC)).total_seconds()
    return f"in {wording.duration(left_s)}" if left_s > 0 else "now"


def count(number: int, one: str, many: str) -> str:
    """`1 copy`, `3 copies`."""
    return f"{number:,} {one if number == 1 else many}"


def _nodes_away(cluster: ClusterView, away: Sequence[str]) -> Verdict | None:
    if not away:
        return None
    if len(away) >= (cluster.replicas or 1):
        nodes = count(len(away), "storage node is", "storage nodes are")
        return Verdict(Tone.BAD, f"{nodes} away: some files may be out of reach.")
    copies = "Every file has a copy elsewhere."
    if cluster.under_replicated:
        copies = f"{count(cluster.under_replicated, 'copy is', 'copies are')} lacking."
    return Verdict(Tone.WARNING, f"Away: {', '.join(away)}. {copies}")


def _services_away(away: Sequence[str]) -> Verdict | None:
    if not away:
        return None
    return Verdict(Tone.WARNING, f"Out of order: {', '.join(away)}. What is shown may be old.")


def _goings_on(cluster: ClusterView) -> Verdict | None:
    if cluster.change:
        return Verdict(Tone.BUSY, "Files are on the move. Watching and uploading go on.")
    if cluster.under_replicated:
        lacking = count(cluster.under_replicated, "copy is", "copies are")
        return Verdict(Tone.BUSY, f"{lacking} lacking, and being made.")
    return None
