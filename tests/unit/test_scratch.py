"""A worker's scratch folder: its own, empty, and never left behind for long."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.shared.errors import ConflictError, OutOfSpaceError
from services.transcoder.scratch import scratch


def left_behind(folder: Path) -> None:
    """What a killed worker leaves: its files, and a lock that nobody holds."""
    (folder / "remux-1").mkdir(parents=True)
    (folder / "remux-1" / "source.mkv").write_bytes(b"half a file")
    (folder / "lock").touch()


def test_a_folder_is_gone_with_its_worker(tmp_path: Path):
    with scratch(tmp_path / "work", "w1", reserve_bytes=0) as made:
        (made.folder / "file").touch()
    assert not made.folder.exists()


def test_what_killed_workers_left_goes_whatever_their_names_were(tmp_path: Path):
    left_behind(tmp_path / "w1")
    left_behind(tmp_path / "w2")
    with scratch(tmp_path, "w1", reserve_bytes=0) as made:
        assert [path.name for path in tmp_path.iterdir()] == ["w1"]
        assert [path.name for path in made.folder.iterdir()] == ["lock"]


def test_live_neighbours_and_strangers_are_left_alone(tmp_path: Path):
    (tmp_path / "holiday pictures").mkdir()
    with scratch(tmp_path, "w1", reserve_bytes=0) as one:
        (one.folder / "file").touch()
        with scratch(tmp_path, "w2", reserve_bytes=0):
            assert (one.folder / "file").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["holiday pictures"]


def test_files_that_are_no_workers_are_never_removed(tmp_path: Path):
    film = tmp_path / "media" / "wedding.mov"
    film.parent.mkdir()
    film.touch()
    with (
        pytest.raises(ConflictError, match="TRITONTUBE_WORK_DIR"),
        scratch(tmp_path, "media", reserve_bytes=0),
    ):
        pass
    assert film.exists()


def test_two_workers_of_one_name_are_refused(tmp_path: Path):
    with (
        scratch(tmp_path, "w1", reserve_bytes=0) as made,
        pytest.raises(ConflictError, match="--instance"),
        scratch(tmp_path, "w1", reserve_bytes=0),
    ):
        pass
    assert not made.folder.exists()


def test_a_file_is_begun_only_where_it_leaves_the_reserve(tmp_path: Path, caplog):
    free_bytes = shutil.disk_usage(tmp_path).free
    with scratch(tmp_path, "w1", reserve_bytes=free_bytes // 2) as made:
        made.check_room(free_bytes // 4)
        with pytest.raises(OutOfSpaceError, match=r"MiB are to stay free"):
            made.check_room(free_bytes)
    assert not caplog.records
    with scratch(tmp_path, "w1", reserve_bytes=4 * free_bytes) as made, pytest.raises(OutOfSpaceError):
        made.check_room(0)
    assert "left to other workers" in caplog.text
