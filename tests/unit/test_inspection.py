"""Damage of every kind is told apart from absence, and what is vouched for is true at the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.shared.errors import CorruptFileError, NotFoundError, StaleRingError, UnavailableError
from services.storage.disk.datafolder import DataFolder, opened
from services.storage.disk.disk import object_name
from services.storage.disk.objectfile import BLOCK_BYTES
from services.storage.fence import Obstacle
from services.storage.threads import Threads
from services.storage.upkeep.inspection import Inspector

VIDEO = "0123456789abcdef"
KEY = f"{VIDEO}/file"
DATA = bytes(range(256)) * (BLOCK_BYTES // 128) + b"the end"


@contextmanager
def node(root: Path) -> Iterator[DataFolder]:
    with opened(root, reserve_fraction=0, capacity_bytes=None) as folder:
        folder.store.fence.adopt(3)
        for obstacle in Obstacle:
            folder.store.fence.clear(obstacle)
        yield folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    with node(tmp_path / "data") as folder:
        put(folder, KEY)
        yield folder


@pytest.fixture
def inspector(folder: DataFolder) -> Iterator[Inspector]:
    with Threads(2) as threads:
        yield Inspector(folder.store, threads)


@pytest.fixture
def losses(folder: DataFolder) -> list[str]:
    heard: list[str] = []
    folder.store.on_loss = heard.append
    return heard


def put(folder: DataFolder, key: str) -> None:
    with folder.store.stage(len(DATA)) as stage:
        stage.append(DATA)
        folder.store.publish(stage, key=key, epoch=3)


def object_path(folder: DataFolder, key: str = KEY) -> Path:
    name = object_name(key)
    return folder.root / "objects" / name[:3] / name[3:5] / name


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def quarantined(folder: DataFolder) -> int:
    return len(list((folder.root / "quarantine").iterdir()))


async def test_a_sound_copy_is_told_with_its_facts(inspector, losses):
    found = await inspector.verify([KEY, f"{VIDEO}/other"], epoch=3)
    assert [info.key for info in found.sound] == [KEY]
    assert (found.damaged, losses) == ([], [])


@pytest.mark.parametrize("position", [0, BLOCK_BYTES, len(DATA) - 1, len(DATA) + 3, -1])
async def test_a_flipped_bit_anywhere_is_damage_and_the_copy_is_set_aside(
    folder, inspector, losses, position
):
    flip(object_path(folder), position)
    found = await inspector.verify([KEY], epoch=3)
    assert (found.sound, found.damaged) == ([], [KEY])
    assert losses == [KEY]
    assert quarantined(folder) == 1
    assert (await inspector.verify([KEY], epoch=3)).damaged == []


async def test_an_object_file_that_is_cut_short_is_damage(folder, inspector, losses):
    path = object_path(folder)
    path.write_bytes(path.read_bytes()[:-5])
    assert (await inspector.verify([KEY], epoch=3)).damaged == [KEY]
    assert losses == [KEY]


async def test_an_object_file_that_is_gone_is_damage_once_then_absence(folder, inspector, losses):
    object_path(folder).unlink()
    with pytest.raises(CorruptFileError):
        await inspector.inspect(KEY)
    with pytest.raises(NotFoundError):
        await inspector.inspect(KEY)
    assert losses == [KEY]
    assert folder.store.index.totals.files == 0


async def test_a_reader_who_misses_a_lost_object_is_told_of_no_copy_and_the_loss_is_noticed(folder, losses):
    object_path(folder).unlink()
    with pytest.raises(NotFoundError):
        folder.store.open(KEY)
    assert losses == [KEY]


async def test_whoever_asks_what_is_held_notices_a_damaged_trailer(folder, losses):
    flip(object_path(folder), -1)
    assert folder.store.durable([KEY]) == []
    assert (losses, quarantined(folder)) == ([KEY], 1)


async def test_a_copy_that_was_dropped_on_purpose_is_no_loss(folder, inspector, losses):
    folder.store.remove(KEY, epoch=3)
    assert (await inspector.verify([KEY], epoch=3)).damaged == []
    assert losses == []


@pytest.mark.parametrize(("epoch", "error"), [(2, StaleRingError), (4, UnavailableError)])
async def test_nothing_is_vouched_for_at_another_epoch(inspector, epoch, error):
    with pytest.raises(error):
        await inspector.verify([KEY], epoch=epoch)


async def test_an_epoch_that_ends_while_a_copy_is_read_is_not_vouched_for(folder, inspector, monkeypatch):
    inspect = inspector.inspect

    async def meanwhile(key: str) -> object:
        info = await inspect(key)
        folder.store.fence.adopt(4)
        return info

    monkeypatch.setattr(inspector, "inspect", meanwhile)
    with pytest.raises(StaleRingError):
        await inspector.verify([KEY], epoch=3)


async def test_a_copy_that_goes_while_others_are_read_is_not_vouched_for(folder, inspector, monkeypatch):
    other, inspect = f"{VIDEO}/other", inspector.inspect
    put(folder, other)

    async def meanwhile(key: str) -> object:
        info = await inspect(key)
        folder.store.remove(KEY, epoch=3)
        return info

    monkeypatch.setattr(inspector, "inspect", meanwhile)
    found = await inspector.verify([KEY, other], epoch=3)
    assert [info.key for info in found.sound] == [other]


async def test_people_may_ask_without_an_epoch_of_a_node_that_takes_no_writes(folder, inspector):
    folder.store.fence.block(Obstacle.LEASE, "no lease")
    assert len((await inspector.verify([KEY], epoch=0)).sound) == 1
    with pytest.raises(UnavailableError, match="no lease"):
        await inspector.verify([KEY], epoch=3)
