"""Finished videos in a real ring, and a real worker that looks after them: to be broken in every way."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.admin.admin import Admin
from services.admin.jobs.desk import JobDesk
from services.admin.jobs.servicer import jobs_service
from services.admin.server import admin_server
from services.shared.broker import Broker
from services.shared.catalog import Catalog, Verifications, WorkBook, keys, now_ms
from services.shared.content import ContentStore
from services.shared.dispatch import Dispatcher
from services.shared.errors import NotFoundError
from services.shared.filenames import source_part_file
from services.shared.references import references
from services.shared.verification import Verification
from services.shared.video import Source, Status, Video, new_video_id
from tests.harness.server_process import ServerProcess
from tests.harness.storage import StorageCluster
from tests.harness.waiting import eventually

_DEADLINE_S = 240.0


@dataclass(kw_only=True)
class Archive:
    """A catalogue of finished videos, on a ring, with one worker and an admin."""

    storage: StorageCluster
    content: ContentStore
    broker: Broker
    worker: ServerProcess
    admin: str
    """Where the admin listens."""

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.storage.client)

    @property
    def book(self) -> WorkBook:
        return WorkBook(self.storage.client)

    @property
    def verifications(self) -> Verifications:
        return Verifications(self.storage.client)

    async def made_from(self, path: Path) -> Video:
        """A video that has been uploaded, processed and verified."""
        return await self.finished(await self.uploaded(path))

    async def uploaded(self, path: Path) -> Video:
        """A video that has been uploaded just now."""
        data = await asyncio.to_thread(path.read_bytes)
        video = Video(
            id=new_video_id(),
            title=path.stem,
            status=Status.UPLOADED,
            created_at_ms=now_ms(),
            updated_at_ms=now_ms(),
            source=Source(
                size_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                part_bytes=len(data),
                parts=1,
            ),
        )
        await self.content.put(f"{video.id}/{source_part_file(0)}", data)
        await self.storage.client.put(keys.video(video.id), video.encode())
        await self.storage.client.put(keys.active(video.id), b"")
        await Dispatcher(self.broker).plan(video)
        return video

    async def finished(self, video: Video) -> Video:
        """A video, once it has been processed and verified."""
        await eventually(
            lambda: self._is_verified(video.id), deadline_s=_DEADLINE_S, what="it is finished and verified"
        )
        return await self.catalog.get(video.id)

    async def copy_of(self, video: Video) -> Video:
        """Another finished video with the same files and records, nobody having looked at it."""
        copy = video.model_copy(update={"id": new_video_id(), "verdict": None})
        plan = await self.book.plan(video.id, video.generation)
        tasks = await self.book.tasks(video.id, video.generation)
        for name in references(video, plan, tasks).needed:
            await self.content.put(f"{copy.id}/{name}", await self.content.get_bytes(f"{video.id}/{name}"))
        etcd = self.storage.client
        await etcd.put(keys.video(copy.id), copy.encode())
        for kind in ("plans", "tasks", "availability"):
            async for kv in etcd.range(f"{kind}/{video.id}"):
                await etcd.put(kv.key.replace(video.id, copy.id), kv.value)
        return copy

    async def files(self, video: Video) -> list[str]:
        """Names of a video's files."""
        held = [await node.keys(video.id) for node in self.storage.nodes]
        return sorted({key.partition("/")[2] for key in set().union(*held)})

    async def lose(self, video: Video, name: str) -> None:
        """Take all copies of a file from the nodes' disks, as if the disks had lost them."""
        key = f"{video.id}/{name}"
        await self.storage.at_its_owners(key)
        for node in self.storage.nodes:
            node.object_path(key).unlink(missing_ok=True)

    async def replace(self, video: Video, name: str, data: bytes) -> None:
        """Put other content in the place of a file's, sound by its checksums."""
        key = f"{video.id}/{name}"
        for node in self.storage.nodes:
            if await node.has(key):
                await node.drop(key, epoch=self.storage.topology.view.epoch)
        await self.content.put(key, data)

    async def verified(self, video: Video, *, mend: bool = True) -> Verification:
        """Ask for a verification, and wait for its verdict."""
        asked = await self.verifications.want(video, mend=mend)
        await Dispatcher(self.broker).verification(video)

        async def concluded() -> Verification | None:
            found = await self.verifications.of(video.id)
            over = found and found.verdict and found.requested_at_ms >= asked.requested_at_ms
            return found if over else None

        return await eventually(concluded, deadline_s=_DEADLINE_S, what="there is a verdict")

    async def read(self, video: Video, name: str) -> bytes | None:
        """A file; None: it is gone."""
        try:
            return await self.content.get_bytes(f"{video.id}/{name}")
        except NotFoundError:
            return None

    async def _is_verified(self, video_id: str) -> bool:
        video = await self.catalog.get(video_id)
        assert video.status is not Status.FAILED, video.reason
        return video.verdict is not None


_IMPATIENT: Final = ("--sweep-interval-s", "0.5", "--unserved-after-s", "1")


@asynccontextmanager
async def archive(
    storage: StorageCluster,
    amqp_url: str,
    folder: Path,
    *,
    options: Sequence[str] = _IMPATIENT,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Archive]:
    """An archive without any videos yet; those that other tests have left half-made are nobody's business.

    Args:
        storage: the ring.
        amqp_url: the broker.
        folder: for the worker's log, and its scratch files in `work`.
        options: what the worker is told besides.
        env: its environment, on top of our own.
    """
    for unfinished in (keys.ACTIVE, keys.UNVERIFIED):
        await storage.client.delete_prefix(unfinished)
    worker = ServerProcess(
        command=[
            *(sys.executable, "-m", "services.transcoder", "--instance", "curator"),
            *("--work-dir", str(folder / "work"), "--amqp-url", amqp_url),
            *("--etcd-endpoints", ",".join(storage.etcd.endpoints)),
            *options,
        ],
        log=folder / "worker.log",
        env=env or {},
    )
    async with (
        storage.content() as content,
        Broker.connect(amqp_url, app_id="test", instance="archive") as broker,
        Admin.follow(storage.client, storage.topology) as admin,
        admin_server("127.0.0.1:0", admin, jobs_service(JobDesk(storage.client, broker))) as server,
    ):
        worker.start()
        try:
            yield Archive(
                storage=storage, content=content, broker=broker, worker=worker, admin=server.address
            )
        finally:
            worker.kill()
