"""A stack whose storage ring is changed while one looks at it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import uuid4

from bench import http_load, memory
from bench.measure import WALL, Trial, timed
from services.admin.cli.client import AdminClient
from services.local.endpoints import Endpoints
from services.shared.content import ContentStore
from services.shared.etcd import EtcdClient
from services.shared.filenames import segment_file
from services.shared.ring.table import RingTable
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb
from services.shared.topology import Topology
from services.shared.video import new_video_id
from tests.harness.ports import free_port

_TRITONTUBE: Final = str(Path(sys.executable).with_name("tritontube"))
_DEADLINE_S: Final = 1800.0
_PATIENCE_S: Final = 300.0
_SETTLED_BYTES_PER_S: Final = 16e6
"""Copies that are too many go only when their owners have read theirs through, at background speed."""
_POLL_S: Final = 0.2
_AT_ONCE: Final = 8
_RECEIVED: Final = re.compile(rb"^tritontube_storage_received_bytes_total ([\d.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Node:
    """The process of a storage node."""

    address: str
    pid: int
    data: Path

    def received_bytes(self) -> float:
        """Bytes of files that it has stored since it started, those included that it had already."""
        found = _RECEIVED.search(http_load.fetch(f"http://{self._environment('METRICS_LISTEN')}", "/metrics"))
        return float(found[1]) if found else 0.0

    def _environment(self, name: str) -> str:
        entries = Path(f"/proc/{self.pid}/environ").read_bytes().split(b"\0")
        prefix = f"TRITONTUBE_{name}=".encode()
        return next(entry.removeprefix(prefix).decode() for entry in entries if entry.startswith(prefix))


@dataclass(frozen=True, kw_only=True)
class Toll:
    """What a change took."""

    began: float
    ended: float
    moved_bytes: float
    grown_mb: float
    """The most that any node's memory grew above what it was before."""
    before: RingTable
    after: RingTable


@dataclass(kw_only=True)
class Members:
    """The ring's nodes, and the operator who changes them."""

    endpoints: Endpoints
    admin: AdminClient
    topology: Topology
    nodes: list[Node] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def of(cls, endpoints: Endpoints) -> AsyncIterator[Members]:
        """The members of a stack's ring."""
        async with AsyncExitStack() as stack:
            etcd = EtcdClient.connect([member.client for member in endpoints.etcd])
            topology = Topology.follow(await stack.enter_async_context(etcd))
            members = cls(
                endpoints=endpoints,
                admin=await stack.enter_async_context(AdminClient.to(endpoints.admin)),
                topology=await stack.enter_async_context(topology),
            )
            await members.topology.ready(_DEADLINE_S)
            for node in endpoints.storage:
                assert node.pid is not None, "the stack has just started its nodes"
                members.nodes.append(Node(address=node.address, pid=node.pid, data=Path(node.data)))
            yield members

    async def fill(self, count: int, size_bytes: int) -> dict[str, str]:
        """Store so many files of random bytes; their SHA-256 by key."""
        names = iter([(new_video_id(), number) for number in range(count)])
        digests: dict[str, str] = {}

        async def fill(content: ContentStore) -> None:
            for video_id, number in names:
                data = os.urandom(size_bytes)
                stored = await content.put(f"{video_id}/{segment_file('bench', 1, number)}", data)
                digests[stored.key] = stored.sha256

        async with ContentStore.connect(self.topology) as content:
            await asyncio.gather(*(fill(content) for _ in range(_AT_ONCE)))
        return digests

    @contextmanager
    def spare(self, data: Path, **settings: str) -> Iterator[Node]:
        """One more node with these settings, which is not a member yet; gone at the end."""
        address = f"127.0.0.1:{free_port()}"
        environment = {
            **os.environ,
            "TRITONTUBE_ETCD_ENDPOINTS": ",".join(member.client for member in self.endpoints.etcd),
            "TRITONTUBE_AMQP_URL": self.endpoints.rabbitmq.amqp,
            "TRITONTUBE_DATA": str(data),
            "TRITONTUBE_LISTEN": address,
            "TRITONTUBE_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
            **settings,
        }
        command = (_TRITONTUBE, "storage")
        with data.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            node = Node(address=address, pid=process.pid, data=data)
            self.nodes.append(node)
            yield node
        finally:
            process.kill()
            process.wait()

    async def candidate(self, node: Node) -> None:
        """Wait until a node can be added."""

        async def known() -> bool:
            status = await self.admin.status()
            return node.address in {candidate.address for candidate in status.candidates}

        await _eventually(known, f"{node.address} is a candidate")

    async def settled(self, stored_bytes: int) -> None:
        """Wait until the nodes together hold so much: every copy is there, and none too many."""

        async def exact() -> bool:
            status = await self.admin.status()
            return sum(node.usage.stored_bytes for node in status.nodes) == stored_bytes

        patience_s = _PATIENCE_S + stored_bytes / _SETTLED_BYTES_PER_S
        await _eventually(exact, f"the nodes hold {stored_bytes} bytes", patience_s=patience_s)

    async def kill(self, node: Node) -> None:
        """Kill -9 a node; returns once the others have noticed."""
        os.kill(node.pid, signal.SIGKILL)
        self.nodes.remove(node)

        async def noticed() -> bool:
            status = await self.admin.status()
            return not any(found.live for found in status.nodes if found.address == node.address)

        await _eventually(noticed, f"{node.address} is missed")

    async def change(self, spec: pb.ChangeSpec) -> Toll:
        """Ask for a change, and wait until all files are where they belong.

        Raises:
            RuntimeError: it was refused.
        """
        before = (await self.topology.refresh()).cur
        resting_mb = {node.pid: memory.resident_mb(node.pid) for node in self.nodes}
        for pid in resting_mb:
            memory.forget_peak(pid)
        received_bytes, began = self._received_bytes(), monotonic()
        await self._carried_out(spec)
        return Toll(
            began=began,
            ended=monotonic(),
            moved_bytes=self._received_bytes() - received_bytes,
            grown_mb=max(memory.peak_mb(pid) - resting for pid, resting in resting_mb.items()),
            before=before,
            after=(await self.topology.refresh()).cur,
        )

    async def _carried_out(self, spec: pb.ChangeSpec) -> None:
        request = await self.admin.request(spec, uuid4().hex)
        async with asyncio.timeout(_DEADLINE_S):
            async for news in self.admin.follow(request.request_id):
                request = news.request
        if request.state != pb.REQUEST_STATE_DONE:
            raise RuntimeError(f"A change was not carried out: {request}")

    def _received_bytes(self) -> float:
        return sum(node.received_bytes() for node in self.nodes)


async def _eventually(
    condition: Callable[[], Awaitable[bool]], what: str, *, patience_s: float = _PATIENCE_S
) -> None:
    deadline = monotonic() + patience_s
    while not await condition():
        if monotonic() > deadline:
            raise RuntimeError(f"In {patience_s:.0f} s it did not come about that {what}.")
        await asyncio.sleep(_POLL_S)


def copied(source: Path, target: Path) -> Trial:
    """Copy a folder to the same disk; how long that took."""
    os.sync()  # what was left to be written is not this one's to pay for

    def copy() -> None:
        subprocess.run(("cp", "-r", source, target), check=True)
        subprocess.run(("sync", "-f", target), check=True)

    try:
        return {WALL.name: timed(copy)[WALL.name]}
    finally:
        shutil.rmtree(target)
