"""Nodes come, go and die while people watch: what moves, what viewers notice, what it costs."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from bench.machine import require_space
from bench.measure import WALL, Metric, Row, Trial, compare
from bench.members import Members, Node, Toll, copied
from bench.stack import stack
from bench.viewers import SLOW_S, Viewers
from services.shared.ring.placement import partition_of
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_FILE_BYTES: Final = 350_000
"""The average of all segments of 4 s that a film of 1280x720 is made into here."""
_FILES: Final = 4_800
"""Of these, 1 + 1 + 1.3 GB move. What it takes in memory to move ten is what `relocation` measures."""
_QUICK_FILES: Final = 1_440
_COPIES: Final = 3
_NODES: Final = 4
_QUIET_S: Final = 20.0
_SETTINGS: Final = {
    # Viewers read through the ring, not from the web process's memory.
    "TRITONTUBE_CACHE_BYTES": str(2 << 20),
    # What is surplus goes at once: the disk has to hold all this, and each change begins with exactly the
    # copies that there should be.
    "TRITONTUBE_DELETE_GRACE_S": "1",
    "TRITONTUBE_REPAIR_INTERVAL_S": "5",
    "TRITONTUBE_DEAD_AFTER_S": "0",
}

_RING: Final = "TritonTube"
_COPY: Final = "cp and sync"
_READS: Final = Metric(name="read", unit="files", digits=0)
_FAILED: Final = Metric(name="failed", unit="reads", digits=0)
_SLOW: Final = Metric(name="over 1 s", unit="reads", digits=0)
_MEDIAN: Final = Metric(name="read, median", unit="ms", digits=0)
_SLOWEST: Final = Metric(name="read, slowest", unit="ms", digits=0)
_MOVED: Final = Metric(name="moved", unit="GB")
_LACKED: Final = Metric(name="moved, of what the new owners lacked", unit="ratio", digits=3)
_IDEAL: Final = Metric(name="moved, of the theoretical minimum", unit="ratio", digits=3)
_GROWN: Final = Metric(name="memory of a storage node, most above before", unit="MB", digits=0)
_METRICS: Final = (_READS, _FAILED, _SLOW, _MEDIAN, _SLOWEST, _MOVED, _LACKED, _IDEAL, _GROWN)

Story = dict[str, dict[str, Trial]]
"""Trials by subject and variant, the yardstick first."""


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """A span of time to look back at."""

    subject: str
    began: float
    ended: float
    measured: Trial
    yardstick: Trial | None = None


def run(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Add a node, drain one, kill one."""
    count = _QUICK_FILES if quick else _FILES
    # All copies, what moves and is dropped later, and a copy of what a node holds.
    require_space(work, (_COPIES + 2) * count * _FILE_BYTES)
    stories = [asyncio.run(_story(work, count)) for _ in range(rounds)]
    for subject in stories[0]:
        measured = {
            variant: [story[subject][variant] for story in stories] for variant in stories[0][subject]
        }
        yield from compare(subject, measured, (WALL, *_METRICS), yardstick=next(iter(measured)))


async def _story(work: Path, count: int) -> Story:
    """All of it once, on a stack of its own."""
    options = ("--transcoders", "0", "--storage-nodes", str(_NODES), "--replicas", str(_COPIES))
    with stack(work / "stack", *options, "--no-restart", **_SETTINGS) as endpoints:
        async with Members.of(endpoints) as members:
            digests = await members.fill(count, _FILE_BYTES)
            paths = {f"/content/{key}": digest for key, digest in digests.items()}
            web = urlsplit(endpoints.web).netloc
            with members.spare(work / "spare") as spare, Viewers.watching(web, paths) as viewers:
                scenes = [scene async for scene in _scenes(members, spare, list(digests))]
    shutil.rmtree(work / "spare")
    return {scene.subject: _told(scene, viewers) for scene in scenes}


async def _scenes(members: Members, spare: Node, keys: Sequence[str]) -> AsyncIterator[_Scene]:
    leaving, dying, *_ = members.nodes
    stored_bytes = len(keys) * _COPIES * _FILE_BYTES
    await members.settled(stored_bytes)
    began = monotonic()
    await asyncio.sleep(_QUIET_S)
    yield _Scene(subject="nothing changes", began=began, ended=monotonic(), measured={})

    await members.candidate(spare)
    toll = await members.change(pb.ChangeSpec(add=pb.AddNode(address=spare.address)))
    yield _scene(f"a node is added to {_NODES}", toll, keys)
    await members.settled(stored_bytes)

    toll = await members.change(pb.ChangeSpec(drain=pb.DrainNode(node=leaving.address)))
    yield _scene(f"one of {_NODES + 1} is drained", toll, keys)
    await members.settled(stored_bytes)

    began = monotonic()
    await members.kill(dying)
    toll = await members.change(pb.ChangeSpec(remove_dead=pb.RemoveDeadNode(node=dying.address)))
    plain = await asyncio.to_thread(copied, dying.data / "objects", dying.data / "copy")
    yield replace(_scene(f"one of {_NODES} is killed", toll, keys), began=began, yardstick=plain)


def _scene(subject: str, toll: Toll, keys: Sequence[str]) -> _Scene:
    lacked = sum(len(_receivers(toll, partition_of(key))) for key in keys)
    minimum = len(keys) * _COPIES / max(len(toll.before.nodes), len(toll.after.nodes))
    measured = {
        WALL.name: toll.ended - toll.began,
        _MOVED.name: toll.moved_bytes / 1e9,
        _LACKED.name: toll.moved_bytes / (lacked * _FILE_BYTES),
        _IDEAL.name: toll.moved_bytes / (minimum * _FILE_BYTES),
        _GROWN.name: toll.grown_mb,
    }
    return _Scene(subject=subject, began=toll.began, ended=toll.ended, measured=measured)


def _receivers(toll: Toll, partition: int) -> set[str]:
    return set(toll.after.owners(partition)).difference(toll.before.owners(partition))


def _told(scene: _Scene, viewers: Viewers) -> dict[str, Trial]:
    """What became of the ring and its viewers in a scene, beside its yardstick if it has one."""
    reads = viewers.between(scene.began, scene.ended)
    good_ms = [read.took_s * 1000 for read in reads if not read.problem]
    for read in reads:
        if read.problem:
            print(f"bench: {scene.subject}: a read failed: {read.problem}", file=sys.stderr)
    seen = {
        _READS.name: len(reads),
        _FAILED.name: len(reads) - len(good_ms),
        _SLOW.name: sum(read.took_s > SLOW_S for read in reads),
        _MEDIAN.name: median(good_ms),
        _SLOWEST.name: max(good_ms),
    }
    yardstick = {_COPY: scene.yardstick} if scene.yardstick else {}
    return {**yardstick, _RING: {**scene.measured, **seen}}
