"""Reading through all copies for damage, round after round: it shall be found while other copies are sound.

Disks forget in silence, and what nobody watches nobody reads. The scrubber reads everything, slowly enough
not to be felt, and keeps its place across restarts: otherwise a node that is restarted often would look at
its first files again and again and never at its last ones.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from services.shared.errors import CorruptFileError, NotFoundError, UnavailableError
from services.shared.pace import Pace
from services.shared.record import Record
from services.storage import metrics
from services.storage.disk.durable import replace_file
from services.storage.disk.store import Store
from services.storage.patience import patiently
from services.storage.threads import Threads
from services.storage.upkeep.inspection import Inspector

log = logging.getLogger(__name__)

_FILE: Final = "scrub.json"
_SAVE_INTERVAL_S: Final = 5.0
_MIN_PAUSE_S: Final = 1.0
_COST_BYTES: Final = 64 << 10
"""What looking at a file costs at least: tiny ones must not be gone through by the thousand at once."""


class Place(Record):
    """How far the scrubber is."""

    after: str = ""
    """Key of the last copy looked at in this round; empty between rounds."""
    round_ended_at_ms: int = 0
    """When the last round was over; 0: there was none yet."""


class Scrubber:
    """Looks at each copy of a node in the order of the index.

    What is damaged the inspector sets aside, and the store tells of the loss: mending is not done here.

    Args:
        root: the node's data folder, where the place is kept.
        store: what is looked at.
        inspector: how.
        threads: for the disk.
        bytes_per_s: how fast.
        pause_s: between two rounds.
    """

    def __init__(
        self,
        *,
        root: Path,
        store: Store,
        inspector: Inspector,
        threads: Threads,
        bytes_per_s: float,
        pause_s: float,
    ) -> None:
        self._path = root / _FILE
        self._store = store
        self._inspector = inspector
        self._threads = threads
        self._pace = Pace(bytes_per_s)
        self._pause_s = pause_s
        self._saved_at = 0.0

    async def run(self) -> None:
        """Scrub, for ever."""
        place = await self._threads.run(read_place, self._path)
        while True:
            await asyncio.sleep(self._rest_s(place))
            await self._index_complete()
            place = await self._round(place)

    def _rest_s(self, place: Place) -> float:
        """How long until it is time to go on: with a round that was broken off at once."""
        if place.after or not place.round_ended_at_ms:
            return 0.0
        rested_s = time.time() - place.round_ended_at_ms / 1000
        return max(_MIN_PAUSE_S, min(self._pause_s, self._pause_s - rested_s))

    @patiently
    async def _index_complete(self) -> None:
        self._store.check_complete()

    async def _round(self, place: Place) -> Place:
        """Look at all copies behind the place."""
        after = place.after
        while page := await self._threads.run(self._store.index.everything, after=after):
            for info in page:
                await self._look(info.key)
                after = info.key
                await self._keep(Place(after=after, round_ended_at_ms=place.round_ended_at_ms))
        metrics.SCRUB_ROUNDS.inc()
        ended = Place(round_ended_at_ms=int(time.time() * 1000))
        await self._save(ended)
        return ended

    async def _look(self, key: str) -> None:
        await self._pace.take(_COST_BYTES)
        try:
            info = await self._inspector.inspect(key, self._pace)
        except CorruptFileError as error:
            log.error("found by scrubbing: %s", error)  # noqa: TRY400 - a sentence for the operator
        except NotFoundError:
            return
        except (UnavailableError, OSError) as error:
            log.warning("%s could not be looked at: %s", key, error)
        else:
            metrics.SCRUBBED.inc(info.size_bytes)

    async def _keep(self, place: Place) -> None:
        """Save the place now and then: what was looked at since is looked at again after a crash."""
        if time.monotonic() - self._saved_at >= _SAVE_INTERVAL_S:
            await self._save(place)

    async def _save(self, place: Place) -> None:
        self._saved_at = time.monotonic()
        try:
            await self._threads.run(replace_file, self._path, place.encode())
        except OSError as error:
            log.warning("the scrubber's place could not be saved: %s", error)


def read_place(path: Path) -> Place:
    """The place that was saved; the beginning where there is none, or none that can be read. Blocks."""
    try:
        return Place.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Place()
    except (OSError, ValidationError) as error:
        log.warning("%s cannot be read: scrubbing begins anew (%s)", path, error)
        return Place()
