"""A node learns that its folder is gone, another's, or takes no writes, though nobody writes."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.shared.errors import ConflictError
from services.storage.disk.datafolder import DataFolder, opened
from services.storage.fence import Obstacle
from services.storage.identity import Identity
from services.storage.threads import Threads
from services.storage.upkeep.watch import Watch


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    with opened(tmp_path / "data", reserve_fraction=0, capacity_bytes=None) as folder:
        for obstacle in Obstacle:
            folder.store.fence.clear(obstacle)
        yield folder


@pytest.fixture
def watch(folder: DataFolder) -> Iterator[Watch]:
    with Threads(1) as threads:
        yield Watch(folder, threads)


def test_a_folder_in_order_stays_as_it_is(folder, watch):
    folder.identity.join("cluster")
    watch.look()
    assert folder.why_read_only == ""
    assert not list((folder.root / "tmp").iterdir())


def test_a_folder_that_was_emptied_is_no_longer_the_nodes(folder, watch):
    for entry in folder.root.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    with pytest.raises(
        ConflictError, match=rf"node\.json is gone.* {folder.identity.node_id}\. Was it emptied"
    ):
        watch.look()
    (folder.root / "running").touch()


def test_a_folder_that_another_disk_covers_is_no_longer_the_nodes(folder, watch, tmp_path):
    (tmp_path / "other").mkdir()
    other = Identity(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "node.json", folder.root)
    with pytest.raises(ConflictError, match=f"that of {other.node_id} now"):
        watch.look()


def test_a_file_that_cannot_be_understood_proves_nothing(folder, watch):
    (folder.root / "node.json").write_text("{")
    watch.look()
    assert folder.why_read_only == ""


def test_a_folder_that_takes_no_files_ends_writing_and_says_why(folder, watch):
    (folder.root / "tmp").rmdir()
    (folder.root / "tmp").touch()
    watch.look()
    assert folder.why_read_only == (
        "The node's disk takes no writes (Not a directory). See to that, then restart the node."
    )


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.ESTALE, errno.ENODEV])
def test_a_file_system_that_went_read_only_or_lost_its_device_ends_writing(
    folder, watch, monkeypatch, number
):
    monkeypatch.setattr(os, "open", failing(number))
    watch.look()
    monkeypatch.undo()
    assert os.strerror(number) in folder.why_read_only


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE])
def test_want_of_room_or_of_descriptors_passes(folder, watch, monkeypatch, number):
    monkeypatch.setattr(os, "open", failing(number))
    watch.look()
    monkeypatch.undo()
    assert folder.why_read_only == ""


def failing(number: int):
    """`os.open` that makes no files."""
    original = os.open

    def call(path, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return original(path, flags, *args, **kwargs)

    return call
