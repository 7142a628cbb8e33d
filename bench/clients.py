"""Clients of an object store: so many at a time, in processes of their own, at it until all is done."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError
from time import perf_counter
from typing import Final, Protocol

import uvloop

from bench import processes
from services.shared.allocator import keep_freed_memory

CLIENTS: Final = 8
_PROCESSES: Final = 2
_STEP_TIMEOUT_S: Final = 600.0
_CONTENTS: Final = 8
"""So many different ones, in turn: enough that nobody gains from having seen it."""


class Client(Protocol):
    """One client, which does one thing after the other."""

    async def put(self, key: str, data: bytes) -> None:
        """Store an object; returns once it is durable."""

    async def get(self, key: str) -> bytes:
        """Read an object."""


class Target(Protocol):
    """How a process reaches an object store. Sent to it, so it is plain data."""

    def clients(self, count: int) -> AbstractAsyncContextManager[Sequence[Client]]:
        """Connected clients."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is to be stored, then read."""

    keys: Sequence[str]
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What all clients together took for one step."""

    wall_s: float
    cpu_s: float
    """Processor time of the clients and the servers."""


def store_and_read(
    target: Target, load: Load, *, servers: Collection[int], between: Callable[[], None]
) -> tuple[Spent, Spent]:
    """Put all objects, then get all of them; each must come back as it was.

    Args:
        target: the store.
        load: the objects.
        servers: the store's processes.
        between: called when all are stored and before the first is read, outside the times.

    Raises:
        RuntimeError: a client failed.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(_PROCESSES + 1, timeout=_STEP_TIMEOUT_S)
    shares = [Load(keys=load.keys[at::_PROCESSES], size_bytes=load.size_bytes) for at in range(_PROCESSES)]
    clients = [context.Process(target=_process, args=(target, share, barrier)) for share in shares]
    for client in clients:
        client.start()
    pids = [*servers, *(client.pid for client in clients if client.pid)]
    try:
        put = _step(barrier, pids)
        between()
        return put, _step(barrier, pids)
    except BrokenBarrierError:
        raise RuntimeError("A client process failed; see above.") from None
    except BaseException:
        barrier.abort()
        raise
    finally:
        for client in clients:
            client.join()


def _step(barrier: Barrier, pids: Sequence[int]) -> Spent:
    """Let the processes begin, and wait until all are done."""
    barrier.wait()
    began, cpu_s = perf_counter(), processes.cpu_s(pids)
    barrier.wait()
    wall_s = perf_counter() - began
    spent = Spent(wall_s=wall_s, cpu_s=processes.cpu_s(pids) - cpu_s)
    barrier.wait()
    return spent


def _process(target: Target, load: Load, barrier: Barrier) -> None:
    keep_freed_memory()  # as our services do
    try:
        uvloop.run(_drive(target, load, barrier))
    except BaseException:
        barrier.abort()
        raise


async def _drive(target: Target, load: Load, barrier: Barrier) -> None:
    generator = random.Random(load.size_bytes)
    contents = [generator.randbytes(load.size_bytes) for _ in range(_CONTENTS)]
    objects = [(key, contents[number % _CONTENTS]) for number, key in enumerate(load.keys)]
    async with target.clients(CLIENTS // _PROCESSES) as clients:
        for job in (_put_all, _get_all):
            async with _step_of(barrier):
                rest = iter(objects)
                await asyncio.gather(*(job(client, rest) for client in clients))


@asynccontextmanager
async def _step_of(barrier: Barrier) -> AsyncIterator[None]:
    """Begin and end when all processes do. Nothing else runs meanwhile, so blocking is fine."""
    barrier.wait()
    yield
    barrier.wait()
    barrier.wait()  # what was spent is read before anyone goes on, or ends


async def _put_all(client: Client, objects: Iterator[tuple[str, bytes]]) -> None:
    for key, data in objects:
        await client.put(key, data)


async def _get_all(client: Client, objects: Iterator[tuple[str, bytes]]) -> None:
    for key, data in objects:
        assert await client.get(key) == data, f"{key} did not come back as it was"
