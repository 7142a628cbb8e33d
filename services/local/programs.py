"""The programs that a stack needs from the operating system, and what to say when one is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Final

from services.shared.errors import UnavailableError

PACKAGES: Final = {
    "etcd": "etcd-server",
    "rabbitmq-server": "rabbitmq-server",
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
}
"""Program -> the Debian package that has it."""

# Debian keeps servers in folders that the PATH of ordinary users lacks.
_SERVER_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin")


def find(program: str) -> str | None:
    """Where the program is; None if it is not installed."""
    return shutil.which(program) or shutil.which(program, path=":".join(_SERVER_FOLDERS))


def require(programs: Iterable[str]) -> None:
    """Check that all of these are installed.

    Raises:
        UnavailableError: the message names what is missing, its Debian packages, and how to get them.
    """
    missing = [program for program in programs if find(program) is None]
    if not missing:
        return
    packages = dict.fromkeys(PACKAGES[program] for program in missing)
    raise UnavailableError(
        f"Missing: {', '.join(missing)}. Run `make setup`, or `apt-get install {' '.join(packages)}`."
    )
