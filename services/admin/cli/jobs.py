"""The commands about jobs: `tritontube-admin jobs …`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console

from services.admin.cli.asking import errors_told, print_json
from services.admin.cli.input import DEFAULT_SERVER, AsJson, ServerOption
from services.admin.cli.jobs_client import JobsClient
from services.admin.display.tables import UNKNOWN, show_lines, show_rows
from services.admin.views.jobs import (
    DeadLettersView,
    DeadLetterView,
    DiscardedView,
    RedoneView,
    RequeuedView,
    TasksView,
    TaskView,
)
from services.shared.stubs.tritontube.jobs.v1 import jobs_pb2 as pb

T = TypeVar("T")

_LETTER_HEADINGS: Final = ("ID", "TYPE", "TITLE", "ATTEMPT", "WHY")
_TASK_HEADINGS: Final = ("TASK", "STATE", "WORKER", "SECONDS", "BEGUN BY")

Video = Annotated[str, typer.Argument(metavar="VIDEO", help="The id of a video.")]
OfVideo = Annotated[str, typer.Option("--video", help="Only jobs of this video.", show_default="any")]
WithId = Annotated[str, typer.Option("--id", help="Only the job of this id.", show_default="any")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many of each queue.")]
Detail = Annotated[bool, typer.Option("--detail", help="With ffmpeg's messages and command lines.")]
Piece = Annotated[int | None, typer.Option(min=0, help="Only this piece, counted from 0.")]
Rendition = Annotated[
    str | None, typer.Option(help="Only this rendition or sound track.", show_default="all")
]

app = typer.Typer(help="Jobs: those that were given up, and the work on a video.", no_args_is_help=True)


@app.command()
def dead(
    *,
    video: OfVideo = "",
    message_id: WithId = "",
    limit: Limit = 100,
    detail: Detail = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """List the jobs that were given up, and why."""
    selection = pb.Selection(video_id=video, message_id=message_id)
    found = ask_about_jobs(server, lambda client: client.dead(selection, limit=limit))
    letters = tuple(map(DeadLetterView.of, found))
    if as_json:
        print_json(DeadLettersView(dead=letters))
    elif detail:
        show_lines(Console(), (line for letter in letters for line in _in_full(letter)))
    else:
        show_rows(Console(), _LETTER_HEADINGS, [_letter_row(letter) for letter in letters])


@app.command()
def requeue(
    *,
    video: OfVideo = "",
    message_id: WithId = "",
    everything: All = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Have given-up jobs done after all: their videos go on where they stopped, or start over.

    Jobs of videos that nothing can be done for (deleted, failed for good, ready) are dropped: it says why.
    """
    selection = _selected(video, message_id, everything=everything)
    done = RequeuedView.of(ask_about_jobs(server, lambda client: client.requeue(selection)))
    if as_json:
        print_json(done)
    else:
        show_lines(Console(), _told(done))


@app.command()
def discard(
    *,
    video: OfVideo = "",
    message_id: WithId = "",
    everything: All = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Throw given-up jobs away. Nothing happens to their videos."""
    selection = _selected(video, message_id, everything=everything)
    done = DiscardedView(discarded=ask_about_jobs(server, lambda client: client.discard(selection)))
    if as_json:
        print_json(done)
    else:
        show_lines(Console(), [f"{done.discarded} thrown away"])


@app.command()
def tasks(video: Video, *, server: ServerOption = DEFAULT_SERVER, as_json: AsJson = False) -> None:
    """List the tasks of a video, and who does them."""
    found = TasksView.of(ask_about_jobs(server, lambda client: client.tasks(video)))
    if as_json:
        print_json(found)
    else:
        show_lines(
            Console(), [f"{found.status}, generation {found.generation}: {found.reason or 'no complaints'}"]
        )
        show_rows(Console(), _TASK_HEADINGS, [_task_row(task) for task in found.tasks])


@app.command()
def cancel(video: Video, *, server: ServerOption = DEFAULT_SERVER) -> None:
    """Stop processing a video. It keeps its original, and can be processed again."""
    ask_about_jobs(server, lambda client: client.cancel(video))
    show_lines(Console(), [f"{video}\tcancelled"])


@app.command()
def redo(
    video: Video,
    *,
    piece: Piece = None,
    rendition: Rendition = None,
    server: ServerOption = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Encode finished parts of a video again: files that were lost or damaged are written anew.

    A rendition or sound track that the video goes without is made, and part of it when it is complete.
    """
    if rendition == "":
        raise typer.BadParameter("--rendition needs a name; without it, all are encoded again.")
    track = rendition or ""
    names = ask_about_jobs(server, lambda client: client.redo(video, piece=piece, track=track))
    if as_json:
        print_json(RedoneView(tasks=tuple(names)))
    else:
        show_lines(Console(), names)


def ask_about_jobs(server: str, question: Callable[[JobsClient], Awaitable[T]]) -> T:
    """The server's answer. A failure ends the command with its sentence."""

    async def answer() -> T:
        async with JobsClient.to(server) as client:
            return await question(client)

    with errors_told():
        return asyncio.run(answer())


def _selected(video: str, message_id: str, *, everything: bool) -> pb.Selection:
    if not (video or message_id or everything):
        raise typer.BadParameter("say which: --video, --id or --all.")
    return pb.Selection(video_id=video, message_id=message_id)


def _letter_row(letter: DeadLetterView) -> tuple[str, ...]:
    return (letter.id, letter.type, letter.title, str(letter.attempt), letter.error)


def _in_full(letter: DeadLetterView) -> Iterator[str]:
    yield f"{letter.id} ({letter.title}): {letter.error}"
    yield from (f"    {line}" for line in letter.detail.splitlines())


def _task_row(task: TaskView) -> tuple[str, ...]:
    elapsed = f"{task.elapsed_s:.1f}" if task.elapsed_s else UNKNOWN
    return (task.name, task.state, task.worker or UNKNOWN, elapsed, " ".join(task.begun_by) or UNKNOWN)


def _told(done: RequeuedView) -> Iterator[str]:
    """What became of each video, a line each."""
    yield from (f"{video}\tresumed: It goes on where it stopped." for video in done.resumed)
    yield from (f"{video}\trestarted: It starts over." for video in done.restarted)
    yield from (f"{video}\tdropped: {done.why_dropped[video]}" for video in done.dropped)
    yield from (
        f"{message or UNKNOWN}\tdropped: Nobody can read this message." for message in done.unreadable
    )
    if not (done.resumed or done.restarted or done.dropped or done.unreadable):
        yield "No job was given up."
