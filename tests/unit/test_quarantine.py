from __future__ import annotations

from pathlib import Path

import pytest

from services.storage.disk.guard import DiskGuard
from services.storage.disk.quarantine import Quarantine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "quarantine"


def take(quarantine: Quarantine, folder: Path, name: str, size_bytes: int = 10) -> None:
    path = folder.parent / name
    path.write_bytes(bytes(size_bytes))
    quarantine.take(path)


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.iterdir())


def test_a_damaged_file_is_moved_and_another_one_of_its_name_kept_beside_it(folder):
    quarantine = Quarantine(folder, guard=DiskGuard())
    take(quarantine, folder, "a")
    take(quarantine, folder, "a")
    assert names(folder) == ["a", "a"]
    assert not (folder.parent / "a").exists()


def test_a_file_that_is_gone_already_is_fine(folder):
    Quarantine(folder, guard=DiskGuard()).take(folder.parent / "none")
    assert names(folder) == []


def test_the_oldest_go_beyond_a_number(folder):
    quarantine = Quarantine(folder, guard=DiskGuard(), max_files=3)
    for name in "abcde":
        take(quarantine, folder, name)
    assert names(folder) == ["c", "d", "e"]


def test_the_oldest_go_beyond_a_size_and_the_newest_stays_whatever_its_size(folder):
    quarantine = Quarantine(folder, guard=DiskGuard(), max_bytes=100)
    take(quarantine, folder, "a", 60)
    take(quarantine, folder, "b", 60)
    assert names(folder) == ["b"]
    take(quarantine, folder, "c", 500)
    assert names(folder) == ["c"]


def test_a_folder_that_lay_in_the_place_of_a_file_goes_as_well(folder):
    quarantine = Quarantine(folder, guard=DiskGuard(), max_files=1)
    (folder.parent / "a" / "below").mkdir(parents=True)
    quarantine.take(folder.parent / "a")
    assert names(folder) == ["a"]
    take(quarantine, folder, "b")
    assert names(folder) == ["b"]


def test_files_that_somebody_put_there_are_left_alone(folder):
    quarantine = Quarantine(folder, guard=DiskGuard(), max_files=1)
    (folder / "notes.txt").write_text("looked into on Monday")
    take(quarantine, folder, "a")
    take(quarantine, folder, "b")
    assert names(folder) == ["b", "notes"]
