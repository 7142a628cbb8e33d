"""The end of uploads that nobody goes on with."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from services.shared.catalog import Resumables
from services.shared.errors import UnavailableError
from services.shared.etcd import CompactedError

log = logging.getLogger(__name__)

_LOOKS_PER_LIFE: Final = 4
_MAX_PAUSE_S: Final = 60.0


async def expire_uploads(resumables: Resumables, *, lifetime_s: float) -> None:
    """Give them up, for ever. Every process looks; each upload is ended by one of them."""
    while True:
        try:
            for upload_id in await resumables.expire():
                log.info("upload %s: nobody went on with it; given up", upload_id)
        except (UnavailableError, CompactedError) as error:
            log.warning("cannot look for uploads that have expired: %s", error)
        await asyncio.sleep(min(_MAX_PAUSE_S, lifetime_s / _LOOKS_PER_LIFE))
