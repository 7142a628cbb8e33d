"""A worker's standing in the cluster: an etcd lease that its claims and its announcement live under."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.shared.catalog import WorkBook
from services.shared.errors import UnavailableError
from services.shared.etcd import EtcdClient, Lease
from services.shared.lifecycle import background

log = logging.getLogger(__name__)

_LEASE_TTL_S: Final = 10
_RETRY_S: Final = 1.0


class Session:
    """Keeps a lease, and takes a new one when it was lost because etcd was away for too long."""

    def __init__(
        self, etcd: EtcdClient, book: WorkBook, *, instance: str, encoder: str, room_bytes: int
    ) -> None:
        self._etcd = etcd
        self._book = book
        self._instance = instance
        self._encoder = encoder
        self._room_bytes = room_bytes
        self._lease: Lease | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, etcd: EtcdClient, book: WorkBook, *, instance: str, encoder: str, room_bytes: int
    ) -> AsyncIterator[Session]:
        """Stay announced while the context is open.

        Args:
            etcd: where.
            book: what others read it from.
            instance: the worker's name.
            encoder: identity of what it encodes with.
            room_bytes: what its disk could hold, were it empty.
        """
        session = cls(etcd, book, instance=instance, encoder=encoder, room_bytes=room_bytes)
        async with background(session._keep()):
            yield session

    @property
    def instance(self) -> str:
        """The worker's name."""
        return self._instance

    @property
    def lease_id(self) -> int:
        """The lease to claim tasks under.

        Raises:
            UnavailableError: there is none at the moment.
        """
        if self._lease is None or self._lease.lost.is_set():
            raise UnavailableError("This worker has no lease: etcd cannot be reached.")
        return self._lease.id

    async def _keep(self) -> None:
        while True:
            try:
                async with self._etcd.lease(_LEASE_TTL_S) as lease:
                    await self._announce(lease)
                    self._lease = lease
                    await lease.lost.wait()
                    log.warning("lease lost: etcd was away for too long; taking a new one")
            except UnavailableError as error:
                log.warning("no lease yet: %s", error)
                await asyncio.sleep(_RETRY_S)

    async def _announce(self, lease: Lease) -> None:
        await self._book.announce_room(self._instance, room_bytes=self._room_bytes, lease_id=lease.id)
        await self._book.announce_worker(self._instance, encoder=self._encoder, lease_id=lease.id)
