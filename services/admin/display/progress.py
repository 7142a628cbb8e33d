"""A change while it goes on: a bar on a terminal, now and then a line in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from services.admin.display.changes import pace_note
from services.admin.display.pace import Meter, Pace
from services.admin.display.tables import show_lines
from services.admin.views.names import change_title, request_state_name
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_LINE_INTERVAL_S: Final = 5.0
_MAX_SAID: Final = 1000


class Picture(Protocol):
    """Where progress appears."""

    def update(self, title: str, pace: Pace, at_s: float) -> None:
        """Show how far the change is."""

    def say(self, sentence: str) -> None:
        """Tell something besides."""


class Reporter:
    """Makes a picture of what a watch brings.

    Args:
        picture: where it appears.
    """

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._meter = Meter()
        self._said: dict[str, None] = {}
        self._pace: Pace | None = None

    def show(self, news: pb.WatchChangeResponse, at_s: float) -> None:
        """Show news; `at_s` by any steady clock."""
        request = news.request
        if news.nodes or self._pace is None:
            self._pace = self._meter.look(at_s, epoch=news.epoch, nodes=news.nodes)
        done = request.state == pb.REQUEST_STATE_DONE
        pace = _at_the_end(self._pace, request) if done else self._pace
        title = f"{change_title(request.kind, request.node_id)}: {request_state_name(request.state)}"
        for node in news.nodes:
            if node.waiting_for:
                self._say_once(f"{node.node_id} waits: {node.waiting_for}")
        self._picture.update(title, pace, at_s)

    def _say_once(self, sentence: str) -> None:
        if sentence in self._said:
            return
        self._said[sentence] = None
        if len(self._said) > _MAX_SAID:
            self._said.pop(next(iter(self._said)))
        self._picture.say(sentence)


def _at_the_end(pace: Pace, request: pb.ChangeRequest) -> Pace:
    """The end comes without a word on the nodes: what was seen of them last may be from long before."""
    return replace(
        pace,
        done=1.0,
        files_moved=max(pace.files_moved, request.files_moved),
        bytes_moved=max(pace.bytes_moved, request.bytes_moved),
        bytes_left=0,
        bytes_per_s=None,
        left_s=None,
    )


class Lines:
    """Progress as lines: when its title changes, else every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._title = ""
        self._next_s = 0.0

    def update(self, title: str, pace: Pace, at_s: float) -> None:
        """Print a line, if it is time for one."""
        if title == self._title and at_s < self._next_s:
            return
        self._title, self._next_s = title, at_s + _LINE_INTERVAL_S
        self.say(f"{title}\t{pace.done:.0%}\t{pace_note(pace)}")

    def say(self, sentence: str) -> None:
        """Print a line."""
        show_lines(self._console, [sentence])


class Bar:
    """Progress as a bar that moves."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def update(self, title: str, pace: Pace, at_s: float) -> None:  # noqa: ARG002 - rich has its own clock
        """Move the bar."""
        if self._task is None:
            self._task = self._progress.add_task(title, total=1.0, note="")
        self._progress.update(self._task, description=title, completed=pace.done, note=pace_note(pace))

    def say(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        show_lines(self._progress.console, [sentence])


class Nothing:
    """No progress at all: the output is for programs."""

    def update(self, title: str, pace: Pace, at_s: float) -> None:
        """Show nothing."""

    def say(self, sentence: str) -> None:
        """Say nothing."""


@contextmanager
def reporting(console: Console, *, quiet: bool = False) -> Iterator[Reporter]:
    """A reporter that suits the console; `quiet`: one that prints nothing."""
    if quiet:
        yield Reporter(Nothing())
    elif not console.is_terminal:
        yield Reporter(Lines(console))
    else:
        title, note = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[note]}")
        with Progress(title, BarColumn(), TaskProgressColumn(), note, console=console) as progress:
            yield Reporter(Bar(progress))
