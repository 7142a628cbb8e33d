"""The commands about files: where they belong, and whether all their copies are whole."""

from __future__ import annotations

from contextlib import aclosing, nullcontext
from typing import Annotated

import typer
from rich.console import Console

from services.admin.cli.asking import ask, print_json
from services.admin.cli.client import AdminClient
from services.admin.cli.input import (
    DEFAULT_SERVER,
    AsJson,
    AsJsonLines,
    KeyWords,
    PlainUsage,
    Server,
    ServerOption,
)
from services.admin.display.files import Verdict, show_finding, show_summary
from services.admin.display.ring import show_location, show_ring
from services.admin.views.cluster import ClusterView
from services.admin.views.files import CheckView, FindingView, LocationView
from services.shared.lifecycle import EXIT_FAILED
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

Repair = Annotated[bool, typer.Option("--repair", help="Mend what is found.")]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify", help="Read every byte of every copy, too; otherwise nodes answer from their indexes."
    ),
]
Video = Annotated[str, typer.Option(help="Only the files of this video, by its id.", show_default="all")]

app = typer.Typer()


@app.command(cls=PlainUsage)
def ring(words: KeyWords = None, *, server: ServerOption = DEFAULT_SERVER, as_json: AsJson = False) -> None:
    """Show the ring as a picture; with a key, where that file belongs and who holds it."""
    named, key = words or ("", "")
    if key:
        _locate(named or server, key, as_json=as_json)
        return
    found = ask(named or server, AdminClient.status)
    if as_json:
        print_json(ClusterView.of(found))
    else:
        show_ring(Console(), found)


@app.command()
def fsck(
    named: Server = None,
    *,
    repair: Repair = False,
    verify: Verify = False,
    video: Video = "",
    server: ServerOption = DEFAULT_SERVER,
    as_json: AsJsonLines = False,
) -> None:
    """Compare what every node holds with what it should; exit code 1 if files lack copies."""
    request = pb.CheckFilesRequest(repair=repair, verify=verify, video_id=video)
    if not ask(named or server, lambda client: _check(client, request, as_json=as_json)):
        raise typer.Exit(EXIT_FAILED)


def _locate(server: str, key: str, *, as_json: bool) -> None:
    found = ask(server, lambda client: client.locate(key))
    if as_json:
        print_json(LocationView.of(key, found))
    else:
        show_location(Console(), found)


async def _check(client: AdminClient, request: pb.CheckFilesRequest, *, as_json: bool) -> bool:
    """Show findings as they come; whether all is well in the end."""
    console, verdict, sound = Console(), Verdict(), False
    busy = console.status("Checking") if console.is_terminal and not as_json else nullcontext()
    with busy:
        async with aclosing(client.check(request)) as parts:
            async for part in parts:
                if part.HasField("finding"):
                    verdict.add(part.finding)
                else:
                    sound = verdict.is_sound(part.summary)
                _show(console, part, as_json=as_json)
    return sound


def _show(console: Console, part: pb.CheckFilesResponse, *, as_json: bool) -> None:
    found = part.HasField("finding")
    if as_json:
        view = FindingView.of(part.finding) if found else CheckView.of(part.summary)
        print_json(view, on_one_line=True)
    elif found:
        show_finding(console, part.finding)
    else:
        show_summary(console, part.summary)
