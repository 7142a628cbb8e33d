"""What people are told of a data folder that cannot be used."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from services.local.background import start
from services.local.launcher import Options, up
from services.shared.errors import ConflictError
from services.shared.folders import explained, make_usable
from services.storage.identity import claimed


def test_a_missing_folder_is_made_and_left_empty(tmp_path: Path):
    folder = tmp_path / "made" / "on the way"
    make_usable(folder)
    make_usable(folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("below", ["", "sub", "sub/sub"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path, below: str):
    file = tmp_path / "file"
    file.touch()
    says = f"{file / below} cannot be the data folder: {file} is a file. Move it away, .* with --data"
    with pytest.raises(ConflictError, match=says):
        make_usable(file / below)
    with pytest.raises(ConflictError, match=says), claimed(file / below):
        pass


def test_a_stack_does_not_start_where_a_file_is(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConflictError, match=f"{file} is a file"):
        up(Options(data=file, port=0), announce=lambda _: None)
    with pytest.raises(ConflictError, match=f"{file} is a file"):
        start(file, [])


def test_a_storage_node_does_not_start_where_nothing_can_be_written():
    """`/proc` takes no files from anybody, not even from root."""
    folder = Path("/proc/self")
    with pytest.raises(ConflictError, match=f"^{folder} cannot be the data folder: .* with --data"):
        make_usable(folder)
    with pytest.raises(ConflictError, match=f"^{folder} cannot be the data folder: .* with --data"):
        claimed(folder).__enter__()


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EROFS, "its file system is read-only. Mount it for writing"),
        (errno.EACCES, "this user may not write there. Give it the right to"),
        (errno.ENOSPC, "its file system is full. Make room"),
        (errno.EIO, "the system says “Input/output error”. See to that"),
    ],
)
def test_each_refusal_of_the_system_comes_with_a_remedy(number: int, says: str):
    with (
        pytest.raises(ConflictError, match=f"^/data cannot be the data folder: {says}, or choose another"),
        explained(Path("/data")),
    ):
        raise OSError(number, os.strerror(number))
