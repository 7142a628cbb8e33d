"""The machine under the measurements: what it is, what is installed, how much room there is."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_SYSTEM_PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
"""Servers lie in folders that the PATH of ordinary users lacks."""

_PROGRAMS: Final = {
    "ffmpeg": ("-version",),
    "nginx": ("-v",),
    "wrk": ("-v",),
    "etcd": ("--version",),
}


class MissingError(Exception):
    """Something that a benchmark needs is not here; the message says what to do."""


def facts() -> str:
    """The machine in a line: processor, memory, versions, and how busy it was already."""
    return ", ".join(_facts())


def _facts() -> Iterator[str]:
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    yield f"{_processor()}, {len(os.sched_getaffinity(0))} cores"
    yield f"{memory_gib:.0f} GiB memory"
    yield f"Linux {platform.release().split('-')[0]}"
    yield f"Python {platform.python_version()}"
    for program, query in _PROGRAMS.items():
        if shutil.which(program, path=_SYSTEM_PATH):
            yield f"{program} {_version(program, *query)}"
    yield f"load before {os.getloadavg()[0]:.1f}"


def commit() -> str:
    """The measured version, with a `+` if files of it were changed since."""
    described = ["git", "describe", "--always", "--dirty=+", "--abbrev=10"]
    done = subprocess.run(described, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def require_program(name: str, *, package: str) -> str:
    """Path of a program.

    Raises:
        MissingError: it is not installed.
    """
    path = shutil.which(name, path=_SYSTEM_PATH)
    if path is None:
        raise MissingError(f"{name} is missing: apt-get install {package}")
    return path


def require_file(path: Path, *, package: str) -> Path:
    """The path, if something is there.

    Raises:
        MissingError: it is not installed.
    """
    if not path.exists():
        raise MissingError(f"{path} is missing: apt-get install {package}")
    return path


def require_space(folder: Path, size_bytes: int) -> None:
    """Make sure that a benchmark doesn't fill the disk.

    Raises:
        MissingError: there is less room than that.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < size_bytes:
        wanted, found = size_bytes / 2**30, free_bytes / 2**30
        raise MissingError(f"{folder} needs {wanted:.0f} GiB free, and has {found:.0f}: use --work elsewhere")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(program: str, *query: str) -> str:
    path = require_program(program, package=program)
    # wrk and nginx print it on stderr, and wrk then exits with 1.
    done = subprocess.run([path, *query], capture_output=True, text=True, check=False)
    found = _VERSION.search(done.stdout + done.stderr)
    return found[0] if found else "?"
