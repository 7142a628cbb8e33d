"""What a stack's workers do and leave behind: their processes, records, files and messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import httpx

from services.shared.catalog import VERIFY, Catalog, Starts, WorkBook, keys
from services.shared.etcd import EtcdClient
from services.shared.stubs.tritontube.storage.v1 import storage_pb2, storage_pb2_grpc
from tests.harness.children import children_of
from tests.harness.plain_http import NO_TLS
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

_QUEUES = ("transcode.first", "transcode.bulk", "transcode.late")
_RECORDS = (
    "videos",
    "active",
    "availability",
    "plans",
    "tasks",
    "claims",
    "starts",
    "verifications",
    "unverified",
)


@dataclass(frozen=True, kw_only=True)
class Works:
    """A look behind the scenes of a stack."""

    stack: Stack
    etcd: EtcdClient
    catalog: Catalog
    book: WorkBook
    starts: Starts

    @property
    def encoders(self) -> list[int]:
        """Processes of ffmpeg and ffprobe that the workers have running."""
        workers = {worker.pid for worker in self.stack.endpoints.transcoders if worker.pid}
        return children_of(workers, {"ffmpeg", "ffprobe"})

    async def begun(self, video_id: str, generation: int = 0) -> dict[str, list[str]]:
        """Who began which task and has not said how it ended; looking at the video as a whole is no task."""
        starts = await self.starts.of(video_id, generation)
        return {job: workers for job, workers in starts.items() if job != VERIFY}

    async def busy(self, video_id: str, *, workers: int = 1) -> dict[str, str]:
        """Wait until so many workers encode pieces of a video at once: which pieces, and who."""

        async def working() -> dict[str, str] | None:
            claimed = await self.book.claimed(video_id, (await self.catalog.get(video_id)).generation)
            pieces = {task: worker for task, worker in claimed.items() if "-piece-" in task}
            enough = len(set(pieces.values())) >= workers and len(self.encoders) >= workers
            return pieces if enough else None

        return await eventually(working, deadline_s=120, what=f"{workers} workers encode pieces")

    async def records(self, video_id: str) -> set[str]:
        """Kinds of records that etcd has of a video, apart from tombstones."""
        found = set()
        for kind in _RECORDS:
            async for kv in self.etcd.range(f"{kind}/{video_id}"):
                found.add(kv.key.partition("/")[0])
        return found

    async def buried(self, name: str) -> bool:
        """Whether there is a tombstone of this name."""
        return await self.etcd.get(keys.tombstone(name)) is not None

    async def files(self, video_id: str) -> set[str]:
        """Names of a video's files, on all nodes."""
        found: set[str] = set()
        for node in self.stack.endpoints.storage:
            async with grpc.aio.insecure_channel(node.address) as channel:
                stub = storage_pb2_grpc.StorageServiceStub(channel)
                async for answer in stub.List(storage_pb2.ListRequest(video_id=video_id)):
                    found |= {file.key.partition("/")[2] for file in answer.files}
        return found

    async def queues(self) -> dict[str, int]:
        """Messages in the broker's queues, those at workers included, by queue; empty queues are left out."""
        rows = await self._management("GET", "queues")
        return {row["name"]: row["messages"] for row in rows if row.get("messages")}

    async def idle(self) -> bool:
        """Whether no work queue holds anything, and no worker has a job."""
        return not self.encoders and not set(_QUEUES) & set(await self.queues())

    async def letters(self, queue: str) -> list[dict[str, Any]]:
        """What a person sees who gets messages in the broker's UI; they stay there."""
        body = {"count": 100, "ackmode": "ack_requeue_true", "encoding": "auto"}
        rows: list[dict[str, Any]] = await self._management(
            "POST", f"queues/%2F/{quote(queue)}/get", json=body
        )
        return rows

    async def publish(self, key: str, *, body: str, exchange: str = "amq.default", **properties: Any) -> None:
        """Send a message to a queue, or to whom an exchange sends it, as a stranger would."""
        message = {
            "properties": properties,
            "routing_key": key,
            "payload": body,
            "payload_encoding": "string",
        }
        await self._management("POST", f"exchanges/%2F/{exchange}/publish", json=message)

    def logged(self, text: str) -> int:
        """How often the workers have said something."""
        logs = (self.stack.data / "logs").glob("transcoder-*.log")
        return sum(log.read_text().count(text) for log in logs)

    async def scratch(self) -> list[Path]:
        """What lies in the workers' scratch folders, apart from their locks."""
        return await asyncio.to_thread(lambda: [*self.stack.data.glob("work/*/remux-*")])

    async def _management(self, method: str, path: str, **content: Any) -> Any:
        broker = self.stack.endpoints.rabbitmq
        assert broker.user is not None
        assert broker.password is not None
        auth = (broker.user, broker.password)
        async with httpx.AsyncClient(
            base_url=f"{broker.management}api/", auth=auth, timeout=30, verify=NO_TLS
        ) as http:
            return (await http.request(method, path, **content)).raise_for_status().json()


@asynccontextmanager
async def works(stack: Stack) -> AsyncIterator[Works]:
    """Look behind the scenes of a stack that runs."""
    async with EtcdClient.connect([member.client for member in stack.endpoints.etcd]) as etcd:
        yield Works(stack=stack, etcd=etcd, catalog=Catalog(etcd), book=WorkBook(etcd), starts=Starts(etcd))
