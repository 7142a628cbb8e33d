"""When a read asks a second node while the first has not answered yet.

Most answers take a few milliseconds, so one that takes 150 ms hints at a node in trouble. But when all nodes
are slow, since the machine or the network is at its limit, a second question to each would only make them
slower. So the delay follows what answers take at present; one node that is frozen hardly changes that.
"""

from __future__ import annotations

from typing import Final

MIN_DELAY_S: Final = 0.15
_MAX_DELAY_S: Final = 1.0
_FACTOR: Final = 3.0
"""Of what an answer takes at present: rare while nothing is wrong, whatever the load is."""
_WEIGHT: Final = 0.1
"""Of the newest answer in the moving average."""


class Hedge:
    """What one process knows of how long answers take. Shared by all of its reads."""

    def __init__(self) -> None:
        self._usual_s = 0.0

    @property
    def delay_s(self) -> float:
        """How long a node is waited for before it gets company."""
        return min(max(MIN_DELAY_S, _FACTOR * self._usual_s), _MAX_DELAY_S)

    def note(self, took_s: float) -> None:
        """A node has answered."""
        self._usual_s += _WEIGHT * (took_s - self._usual_s)
