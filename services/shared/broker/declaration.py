"""Making the topology exist. Idempotent: everybody who publishes or consumes does it first."""

from __future__ import annotations

from collections.abc import Iterable

from aio_pika.abc import AbstractChannel

from services.shared.broker.faults import rpc
from services.shared.broker.topology import EXCHANGES, Queue, Topology


async def declare(channel: AbstractChannel, topology: Topology, work_queues: Iterable[str] = ()) -> None:
    """Declare all exchanges, and the families of these work queues.

    Raises:
        ConflictError: something of that name exists with other properties.
        UnavailableError: the broker is away.
    """
    async with rpc("Declaring the exchanges"):
        for name, kind in EXCHANGES.items():
            await channel.declare_exchange(name, kind, durable=True)
    for work_queue in work_queues:
        await declare_family(channel, topology, work_queue)


async def declare_family(channel: AbstractChannel, topology: Topology, work_queue: str) -> None:
    """Declare a work queue with its retry queues and dead letters.

    Raises:
        ConflictError: a queue of that name exists with other properties.
        UnavailableError: the broker is away.
    """
    for queue in topology.family(work_queue):
        async with rpc(f"Declaring the queue {queue.name}"):
            await _declare_queue(channel, queue)


async def _declare_queue(channel: AbstractChannel, queue: Queue) -> None:
    # Durable must be said: the client's default is not, which quorum queues and RabbitMQ 4.3 refuse.
    declared = await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
    await declared.bind(queue.exchange, queue.routing_key)
