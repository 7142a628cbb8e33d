"""Places for uploads: only so many are received at a time, in whatever way they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.shared.errors import UnavailableError
from services.shared.telemetry import Gauge

_RUNNING: Final = Gauge("tritontube_uploads_running", "Uploads that are being received.")


class Slots:
    """The places of one process; each may need the memory of some parts."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            UnavailableError: there is none.
        """
        if self._taken >= self._limit:
            raise UnavailableError("Too many uploads are running at the moment; try again in a little while.")
        self._taken += 1
        _RUNNING.inc()
        try:
            yield
        finally:
            self._taken -= 1
            _RUNNING.dec()
