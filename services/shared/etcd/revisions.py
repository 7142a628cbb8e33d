"""Whole revisions out of split watch responses. Pure.

etcd splits a large response into fragments anywhere, also between two changes of one transaction. Were the
first half handed out and the connection then lost, going on at the next revision would lose the second half.
So the changes of a fragment's last revision are held back until it is known to be complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.shared.etcd.records import WatchEvent


class Revisions:
    """Collects the events of one stream. What it holds is bounded by one transaction's size."""

    def __init__(self) -> None:
        self._held: list[WatchEvent] = []

    def complete(self, events: Sequence[WatchEvent], *, more: bool) -> list[WatchEvent]:
        """Take a response's events; return those, in order, whose revisions are complete.

        Args:
            events: what the response carries.
            more: the response is a fragment, and not the last one.
        """
        collected = [*self._held, *events]
        last = collected[-1].kv.mod_revision if more and collected else None
        self._held = [event for event in collected if event.kv.mod_revision == last]
        return [event for event in collected if event.kv.mod_revision != last]
