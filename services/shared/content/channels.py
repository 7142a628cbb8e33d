"""Connections to the storage nodes: one per address, made when needed, closed when its node has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, Self

from grpc import ChannelConnectivity
from grpc.aio import Channel, insecure_channel

from services.shared.bulk.call import Call
from services.shared.bulk.pool import Pools
from services.shared.errors import UnavailableError
from services.shared.ring.view import RingView
from services.shared.rpc import CHANNEL_OPTIONS, CONNECT_TIMEOUT_S
from services.shared.stubs.tritontube.storage.v1 import storage_pb2_grpc
from services.shared.topology import Topology

_CLOSE_GRACE_S: Final = 30.0


class _Link(NamedTuple):
    """Making a stub takes as long as sending a small message does: it is kept."""

    channel: Channel
    stub: storage_pb2_grpc.StorageServiceAsyncStub

    @classmethod
    def to(cls, address: str) -> Self:
        channel = insecure_channel(address, options=CHANNEL_OPTIONS)
        return cls(channel, storage_pb2_grpc.StorageServiceStub(channel))


class Channels:
    """The nodes' stubs. As many channels as the ring has nodes, at most."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._links: dict[str, _Link] = {}
        self._pools = Pools()
        self._closing: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def over(cls, topology: Topology) -> AsyncIterator[Channels]:
        """Channels to the nodes of a ring; all are closed at the end."""
        channels = cls(topology)
        stop = topology.on_change(channels._leave_departed)
        try:
            yield channels
        finally:
            stop()
            channels._pools.drop_all_but(())
            await asyncio.gather(*(link.channel.close() for link in channels._links.values()))
            for task in channels._closing:
                task.cancel()

    async def stub(self, node: str) -> storage_pb2_grpc.StorageServiceAsyncStub:
        """A connected node's stub.

        Raises:
            UnavailableError: the node is unknown, or no connection came about within 2 s.
        """
        address = self._topology.view.address(node)
        if address is None:
            raise UnavailableError(f"The ring does not say where {node} is.")
        link = self._links.get(address)
        if link is None:
            link = self._links[address] = _Link.to(address)
        await _connected(link.channel, node)
        return link.stub

    async def bulk(self, node: str) -> Call | None:
        """A bulk connection to a node, for one call; None: it has none that can be reached, so use gRPC."""
        address = self._topology.view.bulk_address(node)
        line = await self._pools.take(address) if address else None
        return Call(node, address, line, self._pools) if line else None

    def _leave_departed(self, view: RingView) -> None:
        self._pools.drop_all_but({view.bulk_address(node) for node in view.state.nodes})
        addresses = {view.address(node) for node in view.state.nodes}
        for address in self._links.keys() - addresses:
            task = asyncio.create_task(self._links.pop(address).channel.close(_CLOSE_GRACE_S))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _connected(channel: Channel, node: str) -> None:
    """Wait for a connection: a call on one that isn't there yet could hang where the node is frozen."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            while (state := channel.get_state(try_to_connect=True)) is not ChannelConnectivity.READY:
                if state is ChannelConnectivity.TRANSIENT_FAILURE:
                    raise UnavailableError(f"Cannot connect to {node}.")
                await channel.wait_for_state_change(state)
    except TimeoutError:
        raise UnavailableError(f"No connection to {node} in {CONNECT_TIMEOUT_S:.0f} s.") from None
