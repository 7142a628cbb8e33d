"""A large upload into the ring, against copying the same bytes to the same disk as often as the ring does."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from bench import memory
from bench.machine import require_space
from bench.measure import WALL, Metric, Row, Trial, alternate, compare, timed
from bench.stack import Client, stack
from services.local.endpoints import Endpoints

_SIZE_BYTES: Final = 2_000_000_000
_QUICK_SIZE_BYTES: Final = 256_000_000
_COPIES: Final = (2, 3)
_BLOCK_BYTES: Final = 1 << 20
_YARDSTICK: Final = "cp and sync"

_RATE: Final = Metric(name="speed", unit="MB/s", digits=0)
_WEB_BEFORE: Final = Metric(name="web process before", unit="MB", digits=0)
_WEB_PEAK: Final = Metric(name="web process at most", unit="MB", digits=0)
_NODE_PEAK: Final = Metric(name="largest storage node at most", unit="MB", digits=0)


def run(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Measure with two and with three copies."""
    size_bytes = _QUICK_SIZE_BYTES if quick else _SIZE_BYTES
    # The source, what the yardstick writes, and all uploads of a stack, which go with it.
    require_space(work, size_bytes * (1 + max(_COPIES) * (1 + rounds)))
    source = _generate(work / "upload.mp4", size_bytes)
    for copies in _COPIES:
        with stack(work / "stack", "--transcoders", "0", "--replicas", str(copies)) as endpoints:
            variants = {
                _YARDSTICK: partial(_copy, source, copies),
                "POST /upload": partial(_upload, source, endpoints),
            }
            measured = alternate(variants, rounds=rounds)
        metrics = (_RATE, _WEB_BEFORE, _WEB_PEAK, _NODE_PEAK)
        subject = f"{size_bytes / 1e9:.2g} GB, {copies} copies"
        yield from compare(subject, measured, metrics, yardstick=_YARDSTICK)


def _copy(source: Path, copies: int) -> Trial:
    targets = [source.with_suffix(f".copy{number}") for number in range(copies)]
    os.sync()  # what earlier runs left to be written is not this one's to pay for

    def copy() -> None:
        for target in targets:
            subprocess.run(("cp", source, target), check=True)
        subprocess.run(("sync", *targets), check=True)

    try:
        spent = timed(copy)
    finally:
        for target in targets:
            target.unlink(missing_ok=True)
    return {_RATE.name: _rate(source, spent)}


def _upload(source: Path, endpoints: Endpoints) -> Trial:
    web = endpoints.webs[0].pid
    nodes = [node.pid for node in endpoints.storage]
    client = Client(endpoints.web)
    os.sync()
    before = memory.resident_mb(web)
    for pid in (web, *nodes):
        memory.forget_peak(pid)
    spent = timed(lambda: client.upload(source))
    return {
        _RATE.name: _rate(source, spent),
        _WEB_BEFORE.name: before,
        _WEB_PEAK.name: memory.peak_mb(web),
        _NODE_PEAK.name: max(map(memory.peak_mb, nodes)),
    }


def _rate(source: Path, spent: Trial) -> float:
    return source.stat().st_size / 1e6 / spent[WALL.name]


def _generate(path: Path, size_bytes: int) -> Path:
    """A file that begins as an MP4 does, and has random bytes where the pictures would be."""
    kind = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0x200, b"isom")
    media = struct.pack(">I4sQ", 1, b"mdat", size_bytes - len(kind))
    with path.open("wb") as file:
        file.write(kind + media)
        while room := size_bytes - file.tell():
            file.write(os.urandom(min(room, _BLOCK_BYTES)))
    return path
