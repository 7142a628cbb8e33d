"""Objects of 1 MB put into the ring and read back, three copies of each, against OpenStack Swift."""

from __future__ import annotations

import asyncio
import http.client
import os
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.clients import CLIENTS, Client, Load, store_and_read
from bench.machine import require_space
from bench.measure import Metric, Row, Trial, alternate, compare
from bench.stack import stack
from bench.swift import COPIES, Swift, swift
from services.local.endpoints import Endpoints
from services.shared.content import ContentStore
from services.shared.etcd import EtcdClient
from services.shared.filenames import segment_file
from services.shared.topology import Topology
from services.shared.video import new_video_id

_OBJECT_BYTES: Final = 1_000_000
_COUNT: Final = 400
_QUICK_COUNT: Final = 160
_READ_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 60.0

_SWIFT: Final = "Swift"
_RING: Final = "TritonTube"
_PUT: Final = Metric(name="PUT", unit="1/s", digits=0)
_PUT_CPU: Final = Metric(name="PUT, CPU of servers and clients", unit="ms each", digits=1)
_GET: Final = Metric(name="GET", unit="1/s", digits=0)
_GET_CPU: Final = Metric(name="GET, CPU of servers and clients", unit="ms each", digits=1)


@dataclass(frozen=True, kw_only=True)
class RingTarget:
    """The ring, through the library that every service uses: it keeps the copies itself, without a proxy."""

    etcd: tuple[str, ...]

    @asynccontextmanager
    async def clients(self, count: int) -> AsyncIterator[Sequence[Client]]:
        """All of a process's clients share its one connection to each node."""
        async with EtcdClient.connect(self.etcd) as etcd, Topology.follow(etcd) as topology:
            await topology.ready(_TIMEOUT_S)
            async with ContentStore.connect(topology) as content:
                yield [_RingClient(content)] * count


@dataclass(frozen=True, kw_only=True)
class SwiftTarget:
    """Swift's proxy, over one connection per client that is kept open."""

    address: str
    path: str
    headers: Mapping[str, str]

    @asynccontextmanager
    async def clients(self, count: int) -> AsyncIterator[Sequence[Client]]:
        """Clients that do as little as possible: they don't check what they get."""
        async with AsyncExitStack() as stack:
            clients = [_SwiftClient(self) for _ in range(count)]
            for client in clients:
                stack.callback(client.close)
            yield clients


class _RingClient:
    def __init__(self, content: ContentStore) -> None:
        self._content = content

    async def put(self, key: str, data: bytes) -> None:
        await self._content.put(key, data)

    async def get(self, key: str) -> bytes:
        return await self._content.get_bytes(key)


class _SwiftClient:
    def __init__(self, target: SwiftTarget) -> None:
        self._target = target
        self._connection = http.client.HTTPConnection(target.address, timeout=_TIMEOUT_S)
        self.close = self._connection.close

    async def put(self, key: str, data: bytes) -> None:
        await asyncio.to_thread(self._request, "PUT", key, data)

    async def get(self, key: str) -> bytes:
        return await asyncio.to_thread(self._request, "GET", key)

    def _request(self, method: str, key: str, data: bytes | None = None) -> bytes:
        url = f"{self._target.path}/{key}"
        self._connection.request(method, url, body=data, headers=dict(self._target.headers))
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status // 100 != 2:
            raise RuntimeError(f"Swift answered {method} {url} with {answer.status}: {body[:500]!r}")
        return body


@dataclass(frozen=True, kw_only=True)
class _Contest:
    """Both stores, and how much goes into each per round."""

    swift: Swift
    ring: Endpoints
    count: int

    def swift_trial(self) -> Trial:
        target = SwiftTarget(address=self.swift.address, path=self.swift.path, headers=self.swift.headers)
        return self._trial(target, [self.swift.devices], self.swift.pids)

    def ring_trial(self) -> Trial:
        target = RingTarget(etcd=tuple(member.client for member in self.ring.etcd))
        nodes = self.ring.storage
        pids = [node.pid for node in nodes if node.pid]
        return self._trial(target, [Path(node.data) for node in nodes], pids)

    def _trial(
        self, target: RingTarget | SwiftTarget, folders: Sequence[Path], servers: Collection[int]
    ) -> Trial:
        video_id = new_video_id()
        keys = [f"{video_id}/{segment_file('bench', 1, number)}" for number in range(self.count)]
        os.sync()  # what earlier rounds left to be written is not this one's to pay for
        load = Load(keys=keys, size_bytes=_OBJECT_BYTES)
        put, get = store_and_read(target, load, servers=servers, between=partial(_read_in, folders))
        return {
            _PUT.name: self.count / put.wall_s,
            _PUT_CPU.name: put.cpu_s / self.count * 1000,
            _GET.name: self.count / get.wall_s,
            _GET_CPU.name: get.cpu_s / self.count * 1000,
        }


def run(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Measure both."""
    count = _QUICK_COUNT if quick else _COUNT
    require_space(work, 2 * COPIES * count * rounds * _OBJECT_BYTES)
    folder = work / "swift"
    folder.mkdir()
    with (
        stack(work / "stack", "--transcoders", "0", "--replicas", str(COPIES)) as ring,
        swift(folder) as rival,
    ):
        contest = _Contest(swift=rival, ring=ring, count=count)
        variants = {_SWIFT: contest.swift_trial, _RING: contest.ring_trial}
        measured = alternate(variants, rounds=rounds)
    subject = f"1 MB, {COPIES} copies, {CLIENTS} clients"
    yield from compare(subject, measured, (_PUT, _PUT_CPU, _GET, _GET_CPU), yardstick=_SWIFT)


def _read_in(folders: Sequence[Path]) -> None:
    """Have all copies in the system's cache: Swift's writes leave none there, TritonTube's do."""
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        with path.open("rb", buffering=0) as file:
            while file.read(_READ_BYTES):
                pass
