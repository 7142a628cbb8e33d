"""An upload's mark in etcd: whatever becomes of this process, somebody will clean up.

The mark is made before the first byte goes into the ring, and stands under a lease of this process. One
transaction turns it into a video. If that never comes, the upload is given up: by us where we can, else by
the janitor of any web process once the lease is gone. Giving up and finishing exclude each other.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from services.shared.catalog import Catalog
from services.shared.errors import TritonTubeError, UnavailableError
from services.shared.etcd import EtcdClient
from services.shared.video import Video

log = logging.getLogger(__name__)

_LEASE_TTL_S: Final = 15
_SWEEP_INTERVAL_S: Final = 10.0


class Announcement:
    """The mark of one upload. Leaving its context before `finish` gives the upload up."""

    def __init__(self, *, etcd: EtcdClient, catalog: Catalog, instance: str, video_id: str) -> None:
        self._etcd = etcd
        self._catalog = catalog
        self._instance = instance
        self._video_id = video_id
        self._lease = AsyncExitStack()
        self._open = False

    async def __aenter__(self) -> Self:
        """Begin; nothing is announced yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what was not finished, and the lease in any case."""
        try:
            if self._open:
                await self._give_up()
        finally:
            await self._lease.aclose()

    async def make(self) -> None:
        """Announce the upload.

        Raises:
            UnavailableError: etcd is away.
        """
        lease = await self._lease.enter_async_context(self._etcd.lease(_LEASE_TTL_S))
        self._open = True
        await self._catalog.begin_upload(self._video_id, instance=self._instance, lease_id=lease.id)

    async def finish(self, video: Video) -> None:
        """Turn the upload into a video. After this it cannot be lost.

        Raises:
            ConflictError: it was given up meanwhile.
            UnavailableError: etcd is away.
        """
        await self._catalog.finish_upload(video)
        self._open = False

    async def _give_up(self) -> None:
        try:
            await self._catalog.abandon_upload(self._video_id)
        except TritonTubeError as error:
            log.warning("upload %s: left to the janitor: %s", self._video_id, error)


async def sweep_uploads(catalog: Catalog) -> None:
    """Give up, for ever, the uploads whose process is gone."""
    while True:
        try:
            for video_id in await catalog.stale_uploads():
                if await catalog.abandon_upload(video_id):
                    log.info("upload %s: its receiver is gone; given up", video_id)
        except UnavailableError as error:
            log.warning("cannot look for uploads that were left behind: %s", error)
        await asyncio.sleep(_SWEEP_INTERVAL_S)
