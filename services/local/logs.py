"""The children's log files: bounded, and readable when something would not start.

A child writes straight into its file, so nothing it says is lost with the launcher and the launcher spends
nothing on it. A file over its limit is copied aside and emptied in place (the child keeps its descriptor; it
appends, so it goes on at the new start).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Final

LIMIT_BYTES: Final = 16 << 20
"""A log and its one predecessor take at most about twice this."""

_CHECK_EVERY_S: Final = 5.0
_TAIL_BYTES: Final = 4096


def open_log(file: Path) -> FileIO:
    """The file, created with its folder where missing, opened for a child to append to."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileIO(file, "a")


def trim(file: Path, *, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Move the content aside if there is more than `limit_bytes` of it; whether that was so.

    What a child writes between the copy and the cut is lost: a few lines at most, of one log in 16 MiB. On a
    full disk everything is: that makes room.
    """
    if not file.exists() or file.stat().st_size <= limit_bytes:
        return False
    aside = file.with_suffix(file.suffix + ".1")
    try:
        shutil.copyfile(file, aside)
    except OSError:
        aside.unlink(missing_ok=True)
    with file.open("r+b") as log:
        log.truncate(0)
    return True


async def keep_trimmed(files: Sequence[Path], *, every_s: float = _CHECK_EVERY_S) -> None:
    """Trim these files for ever."""
    while True:
        for file in files:
            trim(file)
        await asyncio.sleep(every_s)


def tail(file: Path, *, lines: int) -> str:
    """The last lines of a log, for a message; empty if there are none."""
    if not file.exists():
        return ""
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        text = log.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])
