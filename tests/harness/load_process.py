"""Readers and writers of the ring: `python -m tests.harness.load_process`, a process of their own.

What happens is written to a journal, a JSON object per line; `tests.harness.load` reads it. A file is in the
journal as stored only after the ring acknowledged it, so the journal is what must survive.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, time
from typing import Any, Final, TextIO

import uvloop

from services.shared.content import ContentStore
from services.shared.errors import TritonTubeError
from services.shared.etcd import EtcdClient
from services.shared.topology import Topology
from services.shared.video import new_video_id

_READY_DEADLINE_S: Final = 60.0
_MOST_AT_ONCE: Final = 6
"""Of reads, and of writes: a machine that is too busy is not made busier still."""
_FILES_OF_A_VIDEO: Final = 40
_SMALLEST_BYTES: Final = 4_000

Act = Callable[[], Coroutine[Any, Any, None]]


@dataclass
class Journal:
    """What happened, one line each, there for readers at once."""

    file: TextIO

    def write(self, **fact: object) -> None:
        self.file.write(json.dumps({"at": time(), **fact}) + "\n")
        self.file.flush()


@dataclass(kw_only=True)
class Traffic:
    """Puts new files and gets those that were acknowledged."""

    content: ContentStore
    journal: Journal
    largest_bytes: int
    random: random.Random = field(default_factory=random.Random)
    stored: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    video_id: str = field(default_factory=new_video_id)
    made: int = 0

    async def fill(self, count: int) -> None:
        """Store the first files."""
        for _ in range(0, count, 8):
            await asyncio.gather(*(self.put() for _ in range(8)))
        self.journal.write(kind="filled")

    async def put(self) -> None:
        """Store a new file, of random bytes."""
        key, data = self._new_key(), self.random.randbytes(self._size_bytes())
        began = perf_counter()
        try:
            await self.content.put(key, data)
        except TritonTubeError as error:
            self.journal.write(kind="refused", key=key, why=f"{type(error).__name__}: {error}")
            return
        self.stored[key] = hashlib.sha256(data).hexdigest()
        self.keys.append(key)
        took_s = perf_counter() - began
        self.journal.write(
            kind="stored", key=key, sha256=self.stored[key], size_bytes=len(data), took_s=took_s
        )

    async def get(self) -> None:
        """Read a file that was acknowledged, and check its bytes."""
        key = self.random.choice(self.keys)
        began = perf_counter()
        try:
            data = await self.content.get_bytes(key)
        except TritonTubeError as error:
            self.journal.write(kind="failed", key=key, why=f"{type(error).__name__}: {error}")
            return
        if hashlib.sha256(data).hexdigest() != self.stored[key]:
            self.journal.write(kind="failed", key=key, why="other bytes than were stored")
        else:
            self.journal.write(kind="read", key=key, took_s=perf_counter() - began)

    def _new_key(self) -> str:
        if self.made % _FILES_OF_A_VIDEO == 0:
            self.video_id = new_video_id()
        self.made += 1
        return f"{self.video_id}/file-{self.made}"

    def _size_bytes(self) -> int:
        return self.random.randint(_SMALLEST_BYTES, self.largest_bytes)


async def paced(act: Act, *, per_s: float, stop: asyncio.Event) -> None:
    """Begin `act` so many times a second until `stop`, a few at the same time at most; wait for the last."""
    running: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    next_at = loop.time()
    async for _ in _until(stop):
        if len(running) < _MOST_AT_ONCE:
            task = asyncio.create_task(act())
            running.add(task)
            task.add_done_callback(running.discard)
        next_at = max(next_at + 1 / per_s, loop.time() - 1)
        await asyncio.sleep(next_at - loop.time())
    await asyncio.gather(*running)


async def _until(stop: asyncio.Event) -> AsyncIterator[None]:
    while not stop.is_set():
        yield


async def run(options: argparse.Namespace, stop: asyncio.Event) -> None:
    """Fill the ring, then read and write until told to stop."""
    async with EtcdClient.connect(options.etcd.split(",")) as etcd, Topology.follow(etcd) as topology:
        await topology.ready(_READY_DEADLINE_S)
        async with ContentStore.connect(topology) as content:
            with options.journal.open("a") as file:
                traffic = Traffic(content=content, journal=Journal(file), largest_bytes=options.largest_bytes)
                await traffic.fill(options.files)
                await asyncio.gather(
                    paced(traffic.get, per_s=options.reads_per_s, stop=stop),
                    paced(traffic.put, per_s=options.writes_per_s, stop=stop),
                )


async def main(options: argparse.Namespace) -> None:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run(options, stop)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--etcd", required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--files", type=int, required=True)
    parser.add_argument("--largest-bytes", type=int, required=True)
    parser.add_argument("--reads-per-s", type=float, required=True)
    parser.add_argument("--writes-per-s", type=float, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(arguments()))
    sys.exit(0)
