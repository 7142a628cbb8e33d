"""Segments from one web process, out of its memory and out of the ring, against nginx with the same files."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench import http_load
from bench.measure import Metric, Row, Trial, alternate, compare
from bench.stack import stack
from services.local.endpoints import Endpoints
from services.shared.content import ContentStore
from services.shared.etcd import EtcdClient
from services.shared.filenames import segment_file
from services.shared.topology import Topology
from services.shared.video import new_video_id

_RATE: Final = Metric(name="requests", unit="1/s", digits=0)
_FIRST: Final = Metric(name="first byte, median", unit="ms")
_SLOWEST: Final = Metric(name="first byte, longest", unit="ms")

_NGINX: Final = "nginx, sendfile"
_TRITONTUBE: Final = "TritonTube"
_SIZES: Final = {"100 KB": 100_000, "1 MB": 1_000_000}
_CACHE_BYTES: Final = 2 << 20
"""What the web process may keep in memory: one hot file, and next to nothing of the cold ones."""
_COLD_BYTES: Final = 64_000_000
"""All files of one size together."""

_MAX_HITS: Final = 0.05
_HITS: Final = re.compile(
    rb'^tritontube_cache_lookups_total\{outcome="(hit|miss)"\} ([\d.e+]+)$', re.MULTILINE
)
_RING_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class _Servers:
    """Both servers, with the same files under the same paths."""

    nginx: str
    tritontube: str
    folder: Path
    duration_s: int

    def variants(
        self, paths: Sequence[str], trial: Callable[..., Trial]
    ) -> Mapping[str, Callable[[], Trial]]:
        """A trial on each server."""
        return {
            _NGINX: partial(trial, self, self.nginx, paths),
            _TRITONTUBE: partial(trial, self, self.tritontube, paths),
        }

    def load(self, url: str, paths: Sequence[str]) -> Trial:
        """Requests per second."""
        rate = http_load.requests_per_s(url, paths, duration_s=self.duration_s, folder=self.folder)
        return {_RATE.name: rate}

    def cold(self, url: str, paths: Sequence[str]) -> Trial:
        """The same, and how long the first byte takes; nothing may come out of the web process's memory."""
        before = _lookups(self.tritontube)
        first_ms, slowest_ms = http_load.first_byte_ms(url, paths)
        measured = {**self.load(url, paths), _FIRST.name: first_ms, _SLOWEST.name: slowest_ms}
        hits, misses = (now - then for now, then in zip(_lookups(self.tritontube), before, strict=True))
        assert hits <= _MAX_HITS * (hits + misses), f"{hits} of {hits + misses} files were in memory"
        return measured


def run(work: Path, *, quick: bool, rounds: int) -> Iterator[Row]:
    """Measure both sizes, hot and cold."""
    files = {size: _generate(work / "www", size_bytes) for size, size_bytes in _SIZES.items()}
    with (
        stack(work / "stack", "--transcoders", "0", TRITONTUBE_CACHE_BYTES=str(_CACHE_BYTES)) as endpoints,
        http_load.nginx(work / "www", work) as nginx,
    ):
        asyncio.run(_store(endpoints, work / "www", [path for paths in files.values() for path in paths]))
        servers = _Servers(nginx=nginx, tritontube=endpoints.web, folder=work, duration_s=2 if quick else 8)
        for size, paths in files.items():
            _check_same(servers, paths)
            hot = alternate(servers.variants(paths[:1], _Servers.load), rounds=rounds)
            yield from compare(f"{size}, hot", hot, (_RATE,), yardstick=_NGINX)
            cold = alternate(servers.variants(paths, _Servers.cold), rounds=rounds)
            yield from compare(f"{size}, cold", cold, (_RATE, _FIRST, _SLOWEST), yardstick=_NGINX)


def _generate(root: Path, size_bytes: int) -> list[str]:
    """Files of random bytes, and their paths on either server."""
    video_id = new_video_id()
    folder = root / "content" / video_id
    folder.mkdir(parents=True)
    names = [segment_file("bench", 1, number) for number in range(_COLD_BYTES // size_bytes)]
    for name in names:
        (folder / name).write_bytes(os.urandom(size_bytes))
    return [f"/content/{video_id}/{name}" for name in names]


async def _store(endpoints: Endpoints, root: Path, paths: Sequence[str]) -> None:
    """Put the files into the ring, as a transcoder does with its segments."""
    members = [member.client for member in endpoints.etcd]
    async with EtcdClient.connect(members) as etcd, Topology.follow(etcd) as topology:
        await topology.ready(_RING_TIMEOUT_S)
        async with ContentStore.connect(topology) as content:
            for path in paths:
                data = await asyncio.to_thread((root / path[1:]).read_bytes)
                await content.put(path.removeprefix("/content/"), data)


def _check_same(servers: _Servers, paths: Sequence[str]) -> None:
    for path in (paths[0], paths[-1]):
        same = http_load.fetch(servers.nginx, path) == http_load.fetch(servers.tritontube, path)
        assert same, f"the servers differ in {path}"


def _lookups(url: str) -> tuple[float, float]:
    """Hits and misses of the web process's memory so far."""
    found = {kind: float(count) for kind, count in _HITS.findall(http_load.fetch(url, "/metrics"))}
    return found.get(b"hit", 0.0), found.get(b"miss", 0.0)
