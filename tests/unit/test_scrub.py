"""The scrubber's own promises: everything is looked at, slowly, and from where it left off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from services.shared.errors import UnavailableError
from services.storage.disk.datafolder import DataFolder, opened
from services.storage.disk.objectfile import ObjectInfo
from services.storage.fence import Obstacle
from services.storage.threads import Threads
from services.storage.upkeep.inspection import Inspector, Meter
from services.storage.upkeep.scrub import Place, Scrubber, read_place
from tests.harness.waiting import eventually

VIDEO = "0123456789abcdef"
MIB = 1 << 20


class Watched(Inspector):
    """An inspector that remembers what it looked at."""

    looked_at: list[str]
    fails_at: str = ""

    async def inspect(self, key: str, meter: Meter | None = None) -> ObjectInfo:
        self.looked_at.append(key)
        if key == self.fails_at:
            raise UnavailableError("The disk is slow today.")
        return await super().inspect(key, meter)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    with opened(tmp_path / "data", reserve_fraction=0, capacity_bytes=None) as folder:
        folder.store.fence.adopt(1)
        for obstacle in Obstacle:
            folder.store.fence.clear(obstacle)
        yield folder


@pytest.fixture
def threads() -> Iterator[Threads]:
    with Threads(2) as threads:
        yield threads


@pytest.fixture
def inspector(folder: DataFolder, threads: Threads) -> Watched:
    watched = Watched(folder.store, threads)
    watched.looked_at = []
    return watched


def put(folder: DataFolder, count: int, size_bytes: int) -> list[str]:
    """Store files; their keys in the order in which they are looked at."""
    for number in range(count):
        with folder.store.stage(size_bytes) as stage:
            stage.append(bytes(size_bytes))
            folder.store.publish(stage, key=f"{VIDEO}/{number}", epoch=1)
    return [info.key for info in folder.store.index.everything()]


def scrubber(
    folder: DataFolder,
    inspector: Inspector,
    threads: Threads,
    *,
    bytes_per_s: float = 1e12,
    pause_s: float = 1e9,
) -> Scrubber:
    return Scrubber(
        root=folder.root,
        store=folder.store,
        inspector=inspector,
        threads=threads,
        bytes_per_s=bytes_per_s,
        pause_s=pause_s,
    )


def place(folder: DataFolder) -> Place:
    return read_place(folder.root / "scrub.json")


async def run_until_rest(scrubber: Scrubber, folder: DataFolder) -> None:
    """Run to the end of the first round."""
    task = asyncio.create_task(scrubber.run())
    before = place(folder).round_ended_at_ms
    try:
        await eventually(lambda: place(folder).round_ended_at_ms > before, what="the end of the round")
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_every_copy_is_looked_at_once_in_a_round(folder, inspector, threads):
    keys = put(folder, 30, 1000)
    await run_until_rest(scrubber(folder, inspector, threads), folder)
    assert inspector.looked_at == keys


async def test_a_round_that_was_broken_off_goes_on_behind_the_last_place(folder, inspector, threads):
    keys = put(folder, 10, 1000)
    (folder.root / "scrub.json").write_bytes(Place(after=keys[3]).encode())
    await run_until_rest(scrubber(folder, inspector, threads), folder)
    assert inspector.looked_at == keys[4:]


async def test_the_pause_between_rounds_holds_across_restarts(folder, inspector, threads):
    keys = put(folder, 3, 1000)
    await run_until_rest(scrubber(folder, inspector, threads), folder)
    again = asyncio.create_task(scrubber(folder, inspector, threads).run())
    done, _ = await asyncio.wait([again], timeout=0.5)
    again.cancel()
    assert not done
    assert inspector.looked_at == keys


async def test_a_place_that_cannot_be_read_is_the_beginning(folder, inspector, threads):
    keys = put(folder, 3, 1000)
    (folder.root / "scrub.json").write_bytes(b"\x00 rubbish")
    await run_until_rest(scrubber(folder, inspector, threads), folder)
    assert inspector.looked_at == keys


async def test_scrubbing_keeps_to_its_rate(folder, inspector, threads):
    put(folder, 6, MIB)
    began = monotonic()
    await run_until_rest(scrubber(folder, inspector, threads, bytes_per_s=4 * MIB), folder)
    assert monotonic() - began >= 5 / 4


async def test_many_tiny_files_are_not_gone_through_all_at_once(folder, inspector, threads):
    put(folder, 40, 10)
    began = monotonic()
    await run_until_rest(scrubber(folder, inspector, threads, bytes_per_s=2 * MIB), folder)
    assert monotonic() - began >= 39 * 64 * 1024 / (2 * MIB)


async def test_a_copy_that_cannot_be_looked_at_now_does_not_end_the_round(folder, inspector, threads):
    keys = put(folder, 5, 1000)
    inspector.fails_at = keys[1]
    await run_until_rest(scrubber(folder, inspector, threads), folder)
    assert inspector.looked_at == keys


async def test_nothing_is_looked_at_before_the_index_names_everything(folder, inspector, threads):
    put(folder, 3, 1000)
    folder.store.complete = False
    task = asyncio.create_task(scrubber(folder, inspector, threads).run())
    await asyncio.wait([task], timeout=0.5)
    assert inspector.looked_at == []
    folder.store.complete = True
    await eventually(lambda: place(folder).round_ended_at_ms, what="the round")
    task.cancel()
    await asyncio.wait([task])


async def test_damage_is_set_aside_and_told(folder, inspector, threads):
    keys = put(folder, 5, 1000)
    losses: list[str] = []
    folder.store.on_loss = losses.append
    name = next(path for path in folder.root.glob("objects/*/*/*") if keys[2].encode() in path.read_bytes())
    data = bytearray(name.read_bytes())
    data[0] ^= 1
    name.write_bytes(data)
    await run_until_rest(scrubber(folder, inspector, threads), folder)
    assert losses == [keys[2]]
    assert len(list((folder.root / "quarantine").iterdir())) == 1
