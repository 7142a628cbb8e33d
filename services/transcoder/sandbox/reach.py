"""What a command has to reach: read off the command itself, which is ours and not the uploader's.

Nothing has to be told twice, and nothing can be forgotten: what a command line does not name, the process
that runs it cannot open.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_FILE: Final = "file:"
_HTTP: Final = "http://"
_HARDWARE: Final = ("_nvenc", "_qsv", "_vaapi")
"""How the names of encoders end that need the graphics processor's device files."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Files and addresses that a command names."""

    program: Path
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    """Folders in which it may make files."""
    ports: tuple[int, ...] = ()
    """TCP ports that it connects to."""
    devices: bool = False
    """Whether it encodes with a graphics processor."""


def reach_of(arguments: Sequence[str]) -> Reach:
    """What an ffmpeg or ffprobe command has to reach.

    Inputs follow `-i`; whatever else is spelt as a `file:` URL is an output.
    """
    inputs = tuple(_inputs(arguments))
    outputs = [_path(url) for url in arguments if url.startswith(_FILE) and url not in inputs]
    return Reach(
        program=Path(shutil.which(arguments[0]) or arguments[0]),
        reads=tuple(_path(url) for url in inputs if url.startswith(_FILE)),
        writes=tuple(path.parent for path in outputs),
        ports=tuple(urlsplit(url).port or 80 for url in inputs if url.startswith(_HTTP)),
        devices=any(argument.endswith(_HARDWARE) for argument in arguments),
    )


def _inputs(arguments: Sequence[str]) -> Iterator[str]:
    return (url for option, url in pairwise(arguments) if option == "-i")


def _path(url: str) -> Path:
    return Path(url.removeprefix(_FILE)).absolute()
