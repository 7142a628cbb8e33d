"""What the ladder benchmark is about: TritonTube's media core, without broker, etcd and ring around it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from services.shared.plan import Plan
from services.shared.task import Task
from services.transcoder.audio import encode_audio
from services.transcoder.command import Input
from services.transcoder.encode import PieceJob, encode_piece
from services.transcoder.probe import probe
from services.transcoder.timeline import make_plan, make_tasks


class Folder:
    """A sink that writes files as the yardstick does: `<track>-init.mp4` and `<track>-<number>.m4s`."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path = path
        self._tracks = [
            *(rendition.name for rendition in plan.renditions),
            *(track.name for track in plan.audio),
        ]

    async def init(self, track: str, data: bytes) -> None:
        """Write a track's initialisation segment."""
        await self._write(track, "init.mp4", data)

    async def segment(self, track: str, number: int, data: bytes) -> None:
        """Write a media segment."""
        await self._write(track, f"{number:05d}.m4s", data)

    async def _write(self, track: str, name: str, data: bytes) -> None:
        file = self._path / f"{self._tracks.index(track)}-{name}"
        await asyncio.to_thread(file.write_bytes, data)


async def plan_for(source: Path, *, workers: int) -> tuple[Plan, tuple[Task, ...]]:
    """Probe a video and plan it."""
    info = await probe(Input(location=str(source)))
    plan = make_plan(info, generation=1, encoder="bench")
    return plan, make_tasks(plan, info.video, workers=workers)


async def encode(source: Path, folder: Path, *, workers: int) -> None:
    """Probe, plan, and do all tasks of picture and sound, `workers` at a time."""
    plan, tasks = await plan_for(source, workers=workers)
    waiting = iter(tasks)
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(_work(Input(location=str(source)), plan, waiting, Folder(folder, plan)))


async def _work(source: Input, plan: Plan, waiting: Iterator[Task], sink: Folder) -> None:
    for task in waiting:
        if task.piece is not None:
            await encode_piece(PieceJob(source=source, plan=plan, piece=task.piece), sink)
        if task.audio is not None:
            await encode_audio(source, plan, task.audio, sink)
