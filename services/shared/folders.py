"""Data folders that cannot be used: which one, why, and what to do, in place of the system's error number."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from services.shared.errors import ConflictError

_ELSEWHERE: Final = "or choose another folder with --data"
_IN_THE_WAY: Final = frozenset({errno.EEXIST, errno.ENOTDIR})
_WHYS: Final = {
    errno.EROFS: f"its file system is read-only. Mount it for writing, {_ELSEWHERE}.",
    errno.EACCES: f"this user may not write there. Give it the right to, {_ELSEWHERE}.",
    errno.EPERM: f"this user may not write there. Give it the right to, {_ELSEWHERE}.",
    errno.ENOSPC: f"its file system is full. Make room, {_ELSEWHERE}.",
    errno.EDQUOT: f"its file system has no room left for this user. Make room, {_ELSEWHERE}.",
}


def make_usable(folder: Path) -> None:
    """Make a folder if it is missing, and try whether files can be made in it.

    Raises:
        ConflictError: it can't be used.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Make the folder, or files in it, inside.

    Raises:
        ConflictError: the system refuses that.
    """
    try:
        yield
    except OSError as error:
        raise ConflictError(f"{folder} cannot be the data folder: {_why(folder, error)}") from error


def _why(folder: Path, error: OSError) -> str:
    if error.errno in _IN_THE_WAY:
        return f"{_file_on_the_way(folder)} is a file. Move it away, {_ELSEWHERE}."
    said = error.strerror or str(error)
    return _WHYS.get(error.errno or 0, f"the system says “{said}”. See to that, {_ELSEWHERE}.")


def _file_on_the_way(folder: Path) -> Path:
    places = (folder, *folder.parents)
    return next((place for place in places if place.exists() and not place.is_dir()), folder)
