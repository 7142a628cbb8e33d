"""A node's whole content moves to another one: whether memory grows with what has moved."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench import memory
from bench.machine import require_space
from bench.measure import WALL, Metric, Row, Trial, compare
from bench.members import Members, Node, copied
from bench.stack import stack
from services.shared.lifecycle import background
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_FILE_BYTES: Final = 1_000_000
_FILES: Final = 10_000
_QUICK_FILES: Final = 1_000
_NODES: Final = 2
_COPIES: Final = 2
"""Every node holds every file."""
_STAGES: Final = (0.1, 0.5, 1.0)
_LOOK_S: Final = 0.5
_UNTHROTTLED: Final = {"TRITONTUBE_HANDOFF_BYTES_PER_S": str(1 << 30), "TRITONTUBE_CACHE_BYTES": str(2 << 20)}

_RING: Final = "TritonTube"
_COPY: Final = "cp and sync"
_MOVED: Final = Metric(name="moved", unit="GB")


def run(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Replace a node, and look at the memory of all while that lasts."""
    count = _QUICK_FILES if quick else _FILES
    require_space(work, (_COPIES + 2) * count * _FILE_BYTES)
    trials = [asyncio.run(_replaced(work, count)) for _ in range(rounds)]
    measured = {variant: [trial[variant] for trial in trials] for variant in (_COPY, _RING)}
    subject = f"{count * _FILE_BYTES / 1e9:.0f} GB of a node"
    metrics = (WALL, _MOVED, *map(_grown, _STAGES))
    yield from compare(subject, measured, metrics, yardstick=_COPY)


def _grown(stage: float) -> Metric:
    return Metric(
        name=f"memory of a storage node, most above before, while {stage:.0%} moved", unit="MB", digits=0
    )


async def _replaced(work: Path, count: int) -> dict[str, Trial]:
    options = ("--transcoders", "0", "--storage-nodes", str(_NODES), "--replicas", str(_COPIES))
    with stack(work / "stack", *options, "--no-restart", **_UNTHROTTLED) as endpoints:
        async with Members.of(endpoints) as members:
            leaving = members.nodes[0]
            for _ in range(count // 100):
                await members.fill(100, _FILE_BYTES)
            with members.spare(work / "spare", **_UNTHROTTLED) as spare:
                await members.candidate(spare)
                moved = await _moved(members, leaving, spare, count * _FILE_BYTES)
                plain = await asyncio.to_thread(copied, spare.data / "objects", work / "copy")
    shutil.rmtree(work / "spare")
    return {_COPY: plain, _RING: moved}


async def _moved(members: Members, leaving: Node, spare: Node, size_bytes: int) -> Trial:
    looks: list[tuple[float, float]] = []
    resting_mb = {node.pid: memory.resident_mb(node.pid) for node in members.nodes}

    async def look() -> None:
        while True:
            grown_mb = max(memory.resident_mb(pid) - resting for pid, resting in resting_mb.items())
            looks.append((spare.received_bytes() / size_bytes, grown_mb))
            await asyncio.sleep(_LOOK_S)

    async with background(look()):
        spec = pb.ReplaceNode(node=leaving.address, address=spare.address)
        toll = await members.change(pb.ChangeSpec(replace=spec))
    grown = {
        _grown(stage).name: max((mb for part, mb in looks if part <= stage), default=0.0) for stage in _STAGES
    }
    return {WALL.name: toll.ended - toll.began, _MOVED.name: toll.moved_bytes / 1e9, **grown}
