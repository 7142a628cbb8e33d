"""How far a change is, how fast it goes, and how long it still takes. Pure.

Sources compare what they hold with the receivers at the very start of a change, so what is to be moved is
known from then on: what they have moved, and what they say is left. Where nothing has to be moved, it is the
comparing that counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_WINDOW_S: Final = 15.0
"""Over which the rate is taken: long enough to be calm, short enough to show that something stalls."""
_LEAST_S: Final = 0.5
"""Between two looks that are kept, and for two to tell a rate."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """A change at one moment."""

    done: float
    """0 to 1."""
    files_moved: int
    bytes_moved: int
    bytes_left: int
    """As far as is known."""
    bytes_per_s: float | None
    """None: not known yet."""
    left_s: float | None
    """None: not known yet, or nothing moves at the moment."""


@dataclass(frozen=True, kw_only=True)
class _Sample:
    at_s: float
    bytes_moved: int


class Meter:
    """Turns looks at a change into its pace. A new epoch starts it anew: the change was planned anew."""

    def __init__(self) -> None:
        self._epoch = 0
        self._done = 0.0
        self._samples: deque[_Sample] = deque()

    def look(self, at_s: float, *, epoch: int, nodes: Iterable[pb.NodeProgress]) -> Pace:
        """The pace, given what the nodes report at a moment of any steady clock."""
        if epoch != self._epoch:
            self._epoch, self._done = epoch, 0.0
            self._samples.clear()
        nodes = list(nodes)
        moved = sum(node.bytes_moved for node in nodes)
        left = sum(node.bytes_left for node in nodes)
        # More may turn out to be lacking, new files for one; a bar that goes back would only puzzle.
        self._done = max(self._done, _done(nodes, moved, left))
        rate = self._rate(_Sample(at_s=at_s, bytes_moved=moved))
        return Pace(
            done=self._done,
            files_moved=sum(node.files_moved for node in nodes),
            bytes_moved=moved,
            bytes_left=left,
            bytes_per_s=rate,
            left_s=left / rate if rate else None,
        )

    def _rate(self, newest: _Sample) -> float | None:
        """Bytes per second since the oldest look within the window."""
        while len(self._samples) > 1 and newest.at_s - self._samples[0].at_s > _WINDOW_S:
            self._samples.popleft()
        if not self._samples:
            self._samples.append(newest)
        first, last = self._samples[0], self._samples[-1]
        if newest.at_s - last.at_s >= _LEAST_S:
            self._samples.append(newest)
        span_s = newest.at_s - first.at_s
        return max(0, newest.bytes_moved - first.bytes_moved) / span_s if span_s >= _LEAST_S else None


def _done(nodes: list[pb.NodeProgress], moved: int, left: int) -> float:
    if moved or left:
        return moved / (moved + left)
    return min(map(_fraction, nodes), default=0.0)


def _fraction(node: pb.NodeProgress) -> float:
    if node.synced:
        return 1.0
    return min(1.0, node.partitions_done / node.partitions) if node.partitions else 0.0
