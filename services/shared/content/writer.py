"""Storing one file, however often the ring or its nodes get in the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable
from typing import Final

from tenacity import retry, retry_if_exception, wait_random_exponential

from services.shared.content.attempt import Attempt
from services.shared.content.files import StoredFile
from services.shared.content.nodes import Nodes
from services.shared.content.part import Part
from services.shared.errors import OutOfSpaceError, StaleRingError, TritonTubeError, UnavailableError
from services.shared.topology import Topology

log = logging.getLogger(__name__)

_DEADLINE_S: Final = 10.0
_DEADLINE_BYTES_PER_S: Final = 4 << 20
_MAX_PAUSE_S: Final = 1.0


def _passes(error: BaseException) -> bool:
    return isinstance(error, (StaleRingError, UnavailableError)) and not isinstance(error, OutOfSpaceError)


class Writer:
    """Stores one file. Repeating is harmless: the same content under the same key is one file."""

    def __init__(self, *, nodes: Nodes, topology: Topology, key: str, limit_bytes: int) -> None:
        self._nodes = nodes
        self._topology = topology
        self._key = key
        self._part = Part(limit_bytes=limit_bytes)
        self._last_failure: TritonTubeError | None = None

    async def store(self, source: bytes | AsyncIterable[bytes]) -> StoredFile:
        """Send the source to its nodes while it comes in.

        Once it is all here, 10 s and a second per 4 MiB are left. How long the source takes is its affair.

        Raises:
            TritonTubeError: as `ContentStore.put` does.
            Exception: whatever the source raises.
        """
        filling = asyncio.create_task(self._part.fill(source), name=f"read {self._key}")
        storing = asyncio.create_task(self._try_until_stored(), name=f"put {self._key}")
        try:
            await asyncio.wait([filling, storing], return_when=asyncio.FIRST_COMPLETED)
            if not storing.done():
                filling.result()
                await asyncio.wait([storing], timeout=self._time_s())
            if not storing.done():
                raise self._last_failure or UnavailableError(f"{self._key} could not be stored in time.")
            return storing.result()
        finally:
            filling.cancel()
            storing.cancel()
            await asyncio.wait([filling, storing])

    @retry(retry=retry_if_exception(_passes), wait=wait_random_exponential(multiplier=0.1, max=_MAX_PAUSE_S))
    async def _try_until_stored(self) -> StoredFile:
        try:
            return await Attempt(self._nodes, self._topology.view, self._key, self._part).run()
        except StaleRingError:
            await self._topology.refresh()
            raise
        except UnavailableError as error:
            self._last_failure = error
            raise

    def _time_s(self) -> float:
        return _DEADLINE_S + self._part.size_bytes / _DEADLINE_BYTES_PER_S
