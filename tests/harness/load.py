"""Readers and writers beside a test, in a process of their own, and what they saw."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from services.shared.content import StoredFile
from tests.harness.server_process import ServerProcess
from tests.harness.waiting import eventually, took_no_longer

_SLOW_S: Final = 1.0
_DEADLINE_S: Final = 120.0


@dataclass(frozen=True, kw_only=True)
class Demand:
    """How much there is to read and to write."""

    files: int = 160
    """That are stored before the readers begin."""
    largest_bytes: int = 100_000
    reads_per_s: float = 30.0
    writes_per_s: float = 4.0


@dataclass(kw_only=True)
class Load:
    """A process of readers and writers. Its journal is read whenever something is asked."""

    process: ServerProcess
    journal: Path
    _offset: int = 0
    _filled: bool = False
    _stored: dict[str, StoredFile] = field(default_factory=dict)
    _refused: dict[str, str] = field(default_factory=dict)
    _failed: list[str] = field(default_factory=list)
    _reads_took_s: list[float] = field(default_factory=list)

    @property
    def stored(self) -> dict[str, StoredFile]:
        """Every file that was acknowledged, by key."""
        self._read_on()
        return dict(self._stored)

    @property
    def refused(self) -> dict[str, str]:
        """Keys of writes that were not acknowledged, and what the writer was told."""
        self._read_on()
        return dict(self._refused)

    @property
    def failed_reads(self) -> list[str]:
        """What readers of acknowledged files were told instead of the file."""
        self._read_on()
        return list(self._failed)

    @property
    def reads(self) -> int:
        """How many reads brought the right bytes."""
        self._read_on()
        return len(self._reads_took_s)

    @property
    def slowest_read_s(self) -> float:
        """How long the slowest read took."""
        self._read_on()
        return max(self._reads_took_s, default=0.0)

    async def filled(self) -> None:
        """Wait until the first files are stored and the readers read."""

        def is_filled() -> bool:
            self._check_running()
            self._read_on()
            return self._filled

        await eventually(is_filled, deadline_s=_DEADLINE_S, what="the first files are stored")
        await self.more_reads(1)

    async def more_reads(self, count: int) -> None:
        """Wait until so many reads more have succeeded."""
        wanted = self.reads + count

        def enough() -> bool:
            self._check_running()
            return self.reads >= wanted

        await eventually(enough, deadline_s=_DEADLINE_S, what=f"{count} reads more")

    async def more_writes(self, count: int) -> None:
        """Wait until so many writes more have been acknowledged."""
        wanted = len(self.stored) + count

        def enough() -> bool:
            self._check_running()
            return len(self.stored) >= wanted

        await eventually(enough, deadline_s=_DEADLINE_S, what=f"{count} writes more")

    async def end(self) -> None:
        """Let what is under way end, and no more begin."""
        self._check_running()
        code = await asyncio.to_thread(self.process.stop)
        assert code == 0, self.process.log_tail()

    def assert_no_read_failed(self) -> None:
        """Every file that was acknowledged could be read at any time since."""
        assert self.reads
        assert self.failed_reads == []

    def assert_unnoticed(self) -> None:
        """Nobody who read or wrote was refused anything, or had to wait for a read."""
        self.assert_no_read_failed()
        self.assert_no_read_waited()
        assert self.refused == {}

    def assert_no_read_waited(self) -> None:
        """No read took longer than a second, or as much longer as the machine is overloaded."""
        overload = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        took_no_longer(self.slowest_read_s, _SLOW_S * overload, what="the slowest read")

    def _check_running(self) -> None:
        assert self.process.running, self.process.log_tail()

    def _read_on(self) -> None:
        if not self.journal.exists():
            return
        with self.journal.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                self._take(json.loads(line))

    def _take(self, fact: dict[str, Any]) -> None:
        match fact["kind"]:
            case "filled":
                self._filled = True
            case "stored":
                self._stored[fact["key"]] = StoredFile(
                    key=fact["key"], size_bytes=fact["size_bytes"], sha256=fact["sha256"]
                )
            case "refused":
                self._refused[fact["key"]] = fact["why"]
            case "failed":
                self._failed.append(f"{fact['key']}: {fact['why']}")
            case "read":
                self._reads_took_s.append(fact["took_s"])


@asynccontextmanager
async def under_load(folder: Path, etcd: Sequence[str], demand: Demand) -> AsyncIterator[Load]:
    """Readers and writers that have begun; at the end they are gone, in order unless the body failed."""
    name = f"load-{uuid4().hex[:8]}"
    journal = folder / f"{name}.journal"
    process = ServerProcess(
        command=[
            *(sys.executable, "-m", "tests.harness.load_process"),
            *("--etcd", ",".join(etcd), "--journal", str(journal)),
            *(f"--{option.replace('_', '-')}={value}" for option, value in asdict(demand).items()),
        ],
        log=folder / f"{name}.log",
    )
    process.start()
    load = Load(process=process, journal=journal)
    try:
        await load.filled()
        yield load
        if process.running:
            await load.end()
    finally:
        if process.running:
            process.kill()
