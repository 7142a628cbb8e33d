"""Connections to the storage nodes: made when needed, closed when their node has left or moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, NamedTuple, Self, cast

from grpc import ChannelConnectivity
from grpc.aio import Channel, insecure_channel

from services.shared.bulk.call import Call
from services.shared.bulk.pool import Pools
from services.shared.errors import UnavailableError
from services.shared.ring.view import RingView
from services.shared.rpc import CHANNEL_OPTIONS, CONNECT_TIMEOUT_S, NODE_METADATA, translated
from services.shared.stubs.tritontube.storage.v1 import storage_pb2_grpc
from services.shared.topology import Topology

_CLOSE_GRACE_S: Final = 30.0


class _Link(NamedTuple):
    """Making a stub takes as long as sending a small message does: it is kept."""

    address: str
    channel: Channel
    stub: storage_pb2_grpc.StorageServiceAsyncStub

    @classmethod
    def to(cls, node: str, address: str) -> Self:
        channel = insecure_channel(address, options=CHANNEL_OPTIONS)
        return cls(address, channel, storage_pb2_grpc.StorageServiceStub(addressed(channel, node)))


class _Addressed:
    """A channel whose calls say which node they are for.

    An address alone does not: after a disk was wiped, or addresses were swapped, another node answers there,
    and what it holds, lacks or confirms would be taken for the word of the one that was asked.
    """

    def __init__(self, channel: Channel, node: str) -> None:
        said = ((NODE_METADATA, node),)
        for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            setattr(self, kind, _saying(getattr(channel, kind), said))


def addressed(channel: Channel, node: str) -> Channel:
    """The channel, for making a stub whose calls say that they are for `node`."""
    return cast("Channel", _Addressed(channel, node))


def _saying(make: Callable[..., Any], said: Sequence[tuple[str, str]]) -> Callable[..., Any]:
    """Make calls as `make` does, with metadata."""
    return lambda *method, **options: partial(make(*method, **options), metadata=said)


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
        link = self._links.get(node)
        if link is None or link.address != address:
            self._leave(node)
            link = self._links[node] = _Link.to(node, address)
        with translated(node):
            await _connected(link.channel, node)
        return link.stub

    async def bulk(self, node: str) -> Call | None:
        """A bulk connection to a node, for one call; None: it has none that can be reached, so use gRPC."""
        address = self._topology.view.bulk_address(node)
        line = await self._pools.take(address) if address else None
        return Call(node, address, line, self._pools) if line else None

    def _leave_departed(self, view: RingView) -> None:
        self._pools.drop_all_but({view.bulk_address(node) for node in view.state.nodes})
        for node in self._links.keys() - view.state.nodes.keys():
            self._leave(node)

    def _leave(self, node: str) -> None:
        """Close what leads to a node, once the calls that are under way have ended."""
        if link := self._links.pop(node, None):
            task = asyncio.create_task(link.channel.close(_CLOSE_GRACE_S))
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
