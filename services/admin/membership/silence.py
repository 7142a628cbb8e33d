"""Who has shown nothing new for a while. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Mapping


class Silence:
    """Knows since when each node has shown the same, at one epoch at a time.

    Args:
        limit_s: how long is too long.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._epoch = 0
        self._since: dict[str, tuple[object, float]] = {}

    def of(self, epoch: int, shown: Mapping[str, object], *, now_s: float) -> set[str]:
        """The nodes that have shown the same for too long; they are not named again for as long.

        Args:
            epoch: what they show is about; a new one makes everybody begin anew.
            shown: what each node shows now, None for nothing. Nodes that are not named are forgotten.
            now_s: by any clock that goes forward.
        """
        if epoch != self._epoch:
            self._epoch, self._since = epoch, {}
        known = {node: self._since.get(node) for node in shown}
        self._since = {
            node: since if since and since[0] == shown[node] else (shown[node], now_s)
            for node, since in known.items()
        }
        silent = {node for node, (_, since_s) in self._since.items() if now_s - since_s >= self._limit_s}
        self._since |= {node: (shown[node], now_s) for node in silent}
        return silent
