"""A client's connections to bulk addresses, kept for the next call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Final, NamedTuple

from services.shared.bulk.connection import Connection
from services.shared.sockets import split_address

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S: Final = 1.0
_FIRST_PAUSE_S: Final = 30.0
"""How long an address that could not be reached is left alone; twice as long each further time."""
_MAX_PAUSE_S: Final = 3600.0
_MAX_IDLE: Final = 8
"""Connections to one address that are kept while nobody uses them."""
_MAX_IDLE_S: Final = 60.0
"""For so long. Nodes keep them longer."""


class _Idle(NamedTuple):
    connection: Connection
    since: float


class _Pause(NamedTuple):
    until: float
    length_s: float


class Line(NamedTuple):
    """A connection for one call."""

    connection: Connection
    reused: bool
    """The node may have closed it meanwhile, which shows only when it is used."""


class Pools:
    """The connections by address. Calls take as many as they need: each is one call at a time."""

    def __init__(self) -> None:
        self._idle: dict[str, list[_Idle]] = {}
        self._avoided: dict[str, _Pause] = {}

    async def take(self, address: str) -> Line | None:
        """A connection to an address; None: it can't be reached at present."""
        now = _now()
        idle = self._idle.get(address, [])
        while idle:
            connection, since = idle.pop()
            if now - since < _MAX_IDLE_S and not connection.lost:
                return Line(connection, reused=True)
            connection.close()
        pause = self._avoided.get(address, _Pause(now, _FIRST_PAUSE_S / 2))
        if pause.until > now:
            return None
        return await self._connect(address, pause)

    def keep(self, address: str, connection: Connection) -> None:
        """Give a connection back, after a call that came to its end."""
        idle = self._idle.setdefault(address, [])
        if len(idle) < _MAX_IDLE and not connection.lost:
            idle.append(_Idle(connection, _now()))
        else:
            connection.close()

    def drop(self, address: str) -> None:
        """Close what is kept for an address: the node has closed one of these, and so most likely all."""
        for connection, _ in self._idle.pop(address, ()):
            connection.close()

    def drop_all_but(self, addresses: Collection[str]) -> None:
        """Let go of the addresses that no node has any more."""
        self._avoided = {address: pause for address, pause in self._avoided.items() if address in addresses}
        for address in self._idle.keys() - set(addresses):
            self.drop(address)

    async def _connect(self, address: str, earlier: _Pause) -> Line | None:
        host, port = split_address(address)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
        except (OSError, TimeoutError) as error:
            log.info("no bulk connection to %s: %s", address, error or "no answer")
            length_s = min(2 * earlier.length_s, _MAX_PAUSE_S)
            self._avoided[address] = _Pause(_now() + length_s, length_s)
            return None
        self._avoided.pop(address, None)
        return Line(connection, reused=False)


def _now() -> float:
    return asyncio.get_running_loop().time()
