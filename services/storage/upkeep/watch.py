"""Whether the data folder is still the node's own, and takes writes: to be known though nobody writes.

A node that went on without its folder would keep its place in the ring, and nobody would make its copies
anew. One that ends, and comes back without its disk as another node, is given up like any that lost its disk.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from services.shared.errors import UnavailableError
from services.storage.disk.datafolder import DataFolder
from services.storage.threads import Threads

_INTERVAL_S: Final = 5.0


class Watch:
    """Looks at one node's data folder now and then."""

    def __init__(self, folder: DataFolder, threads: Threads) -> None:
        self._folder = folder
        self._threads = threads

    async def run(self) -> None:
        """Look, for ever.

        Raises:
            ConflictError: the folder is no longer the node's.
        """
        while True:
            await self._threads.run(self.look)
            await asyncio.sleep(_INTERVAL_S)

    def look(self) -> None:
        """Look once; a disk that takes no writes is the guard's to tell. Blocks.

        Raises:
            ConflictError: the folder is no longer the node's.
        """
        self._folder.identity.check_place()
        with suppress(UnavailableError):
            self._folder.store.stage().close()
