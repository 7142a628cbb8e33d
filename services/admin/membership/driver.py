"""Drives changes on: begins the next request, and ends the change in progress when its files are in place.

Every admin instance does so at once, without a leader: which of them takes a step does not matter
(`commitment`), and one that dies leaves the next step to the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from services.admin.membership.commitment import Commitment
from services.admin.membership.records import Recorded, Records
from services.shared.errors import UnavailableError
from services.shared.ring.requests import AT_ONCE, ChangeRequest
from services.shared.topology import Topology

log = logging.getLogger(__name__)

_LOOK_AGAIN_S: Final = 5.0
"""However quiet it is: a step that only failed because etcd did must not wait for news."""

_PAUSE_S: Final = 0.1
"""After a step, for its own news to arrive."""


class Driver:
    """Takes the steps that the records call for.

    Args:
        topology: the ring.
        records: requests and reports.
        commitment: how steps are taken.
        on_begun: called when this instance began a change.
    """

    def __init__(
        self, topology: Topology, records: Records, commitment: Commitment, *, on_begun: Callable[[], None]
    ) -> None:
        self._topology = topology
        self._records = records
        self._commitment = commitment
        self._on_begun = on_begun

    async def run(self) -> None:
        """Work until cancelled."""
        news = asyncio.Event()
        stops = (self._topology.on_change(lambda _: news.set()), self._records.on_change(news.set))
        try:
            while True:
                news.clear()
                await self._steps()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN_S):
                        await news.wait()
        finally:
            for stop in stops:
                stop()

    async def _steps(self) -> None:
        try:
            while await self.step():
                await self._topology.refresh()
                await asyncio.sleep(_PAUSE_S)
        except UnavailableError as error:
            log.debug("the ring is looked at later: %s", error)

    async def step(self) -> bool:
        """Take the next step, if there is one; return whether there was, taken by this instance or another.

        Raises:
            UnavailableError: etcd can't be reached, or there is no ring yet.
        """
        view = self._topology.view
        if view.migrating and await self._commitment.end():
            return True
        request = next_request(self._records.queue, migrating=view.migrating)
        if request is None:
            return False
        if await self._commitment.begin(request):
            await self._topology.refresh()
            self._on_begun()
        return True


def next_request(
    queue: Sequence[Recorded[ChangeRequest]], *, migrating: bool
) -> Recorded[ChangeRequest] | None:
    """Whose turn it is: first those that never wait, then, while nothing is in progress, who came first."""
    at_once = (entry for entry in queue if entry.record.spec.kind in AT_ONCE)
    return next(at_once, None if migrating or not queue else queue[0])
