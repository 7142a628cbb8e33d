"""Uploading several files: each on its own, so that one bad file does not cost the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from services.local.uploader import UploadedVideo, Uploader
from services.shared.errors import TritonTubeError


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What became of one file."""

    file: Path
    video: UploadedVideo | None = None
    """As last heard of; None: it was not accepted."""
    error: str | None = None

    @property
    def complaint(self) -> str | None:
        """Why this is not a video that can be watched, now or soon; None if it is."""
        if self.error is None and self.video and self.video.status in {"failed", "deleted"}:
            return f"{self.file}: {self.video.reason or self.video.status}"
        return self.error and f"{self.file}: {self.error}"


class Bars:
    """One progress bar per file: its upload, then what the server makes of it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Path, TaskID] = {}

    def sending(self, file: Path) -> Callable[[int], None]:
        """Show an upload; the returned function is told how many bytes are through."""
        size = file.stat().st_size if file.exists() else None
        task = self._tasks[file] = self._progress.add_task(file.name, total=size, note="")
        return lambda sent: self._progress.update(task, completed=sent, note=decimal(sent))

    def transcoding(self, file: Path, video: UploadedVideo) -> None:
        """Show a video's state."""
        self._progress.update(self._tasks[file], total=1.0, completed=video.progress, note=video.status)


@contextmanager
def progress_bars() -> Iterator[Bars]:
    """Bars on standard error, out of the way of what is printed to standard output."""
    name, note = TextColumn("{task.description}"), TextColumn("{task.fields[note]}")
    console = Console(stderr=True)
    with Progress(name, BarColumn(), TaskProgressColumn(), note, console=console) as progress:
        yield Bars(progress)


def upload_all(
    uploader: Uploader, files: Iterable[Path], *, title: str | None, wait: bool, bars: Bars
) -> list[Transfer]:
    """Upload the files one after the other; with `wait`, follow all of them to their end afterwards."""
    transfers = [_send(uploader, file, title=title, bars=bars) for file in files]
    return [_follow(uploader, transfer, bars) for transfer in transfers] if wait else transfers


def _send(uploader: Uploader, file: Path, *, title: str | None, bars: Bars) -> Transfer:
    try:
        video = uploader.upload(file, title=title, sent=bars.sending(file))
    except TritonTubeError as error:
        return Transfer(file=file, error=str(error))
    return Transfer(file=file, video=video)


def _follow(uploader: Uploader, transfer: Transfer, bars: Bars) -> Transfer:
    if transfer.video is None:
        return transfer
    latest = transfer.video
    try:
        for latest in uploader.follow(transfer.video):
            bars.transcoding(transfer.file, latest)
    except TritonTubeError as error:
        return Transfer(file=transfer.file, video=latest, error=str(error))
    return Transfer(file=transfer.file, video=latest)
