"""One connection to the broker, opened again whenever somebody needs it and it is gone.

This takes the place of the client's own robust connection, which restores channels, queues and consumers
behind the back of their users: a consumer would come back that its owner has given up, the messages that a
lost channel held would still look owned, and several of its versions came back without any consumer at all.
Here nothing is restored. A channel that dies stays dead, whoever used it learns of it at once, and builds
up anew from the top: connect, declare, consume. That is one code path for the first start and for every
failure after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.connection import Connection, make_url

from services.shared.broker.faults import rpc
from services.shared.errors import UnavailableError

_HEARTBEAT_S: Final = 10
"""A broker that falls silent counts as gone after three of these."""

_CLOSE_TIMEOUT_S: Final = 3.0


class Link:
    """A named connection. `channel` opens it on demand; it is shared by all its channels."""

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: AbstractConnection | None = None
        self._opening = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as known."""
        return self._connection is not None and self._connection.connected.is_set()

    async def new_channel(self, *, confirms: bool = False) -> AbstractChannel:
        """Open a channel; with `confirms`, publishing waits for the broker's word and raises on a return.

        Raises:
            UnavailableError: no connection to the broker, or it does not answer.
        """
        async with rpc("Connecting to RabbitMQ"):
            connection = await self._connected()
            channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
            await channel.initialize()
            return channel

    @asynccontextmanager
    async def channel(self, *, prefetch: int | None = None) -> AsyncIterator[AbstractChannel]:
        """A channel for the time of the body. What it holds unsettled at the end goes back to its queues.

        Args:
            prefetch: how many unsettled messages each consumer may hold.

        Raises:
            UnavailableError: no connection to the broker, or it does not answer.
        """
        channel = await self.new_channel()
        try:
            if prefetch is not None:
                async with rpc("Setting the prefetch count"):
                    await channel.set_qos(prefetch_count=prefetch)
            yield channel
        finally:
            await discard(channel)

    async def close(self) -> None:
        """Close the connection, and with it all channels."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await discard(connection)
            if not connection.is_closed:  # not in time: the client has let go of it, and only has to know
                await connection.close()

    async def _connected(self) -> AbstractConnection:
        async with self._opening:
            if self._connection is None or not self.is_open:
                await self.close()
                self._connection = await self._opened()
            return self._connection

    async def _opened(self) -> AbstractConnection:
        """Connect. An attempt that fails is closed by us.

        The client leaves that to the garbage collector, which may run in any thread: without a loop there,
        Python complains of a coroutine that was never awaited.
        """
        connection = Connection(
            make_url(self._url, heartbeat=_HEARTBEAT_S),
            client_properties={"connection_name": self._name, "product": "TritonTube"},
        )
        try:
            await connection.connect()
        except BaseException:
            await connection.close()
            raise
        return connection


async def discard(opened: AbstractChannel | AbstractConnection) -> None:
    """Close what may be dead already; never fails, and never waits long."""
    with suppress(UnavailableError):
        async with rpc("Closing", timeout_s=_CLOSE_TIMEOUT_S):
            await opened.close()


async def consumer_loss(channel: AbstractChannel) -> asyncio.Event:
    """An event that is set when the broker takes a consumer of this channel away: its queue was deleted.

    The channel itself lives on then, and without this its owner would wait for messages for ever.
    """
    lost = asyncio.Event()
    underlay = await channel.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(lambda _frame: lost.set())
    return lost
