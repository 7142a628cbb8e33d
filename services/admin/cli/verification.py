"""The command `tritontube-admin verify`: look at a finished video as a whole."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from services.admin.cli.asking import complain, print_json
from services.admin.cli.input import DEFAULT_SERVER, AsJson, ServerOption
from services.admin.cli.jobs import Video, ask_about_jobs
from services.admin.cli.jobs_client import JobsClient
from services.admin.display.tables import show_lines
from services.admin.display.verification import lines_of
from services.admin.views.verification import VerificationView
from services.shared.lifecycle import EXIT_FAILED
from services.shared.stubs.tritontube.jobs.v1 import jobs_pb2 as pb

Wait = Annotated[bool, typer.Option("--wait", help="Wait for the verdict.")]
Last = Annotated[bool, typer.Option("--last", help="Show the last verification, and ask for none.")]
LookOnly = Annotated[bool, typer.Option("--look-only", help="Mend nothing.")]

app = typer.Typer()


@app.command()
def verify(
    video: Video,
    *,
    wait: Wait = False,
    last: Last = False,
    look_only: LookOnly = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Look at a finished video as a whole, and mend what can be mended; exit code 1 if something is wrong.

    Files, timelines, manifests, decoding: a worker does it when there is nothing else to do.
    """
    if last and (wait or look_only):
        raise typer.BadParameter(
            "--last asks for no verification: neither --wait nor --look-only fits to it."
        )

    async def question(client: JobsClient) -> pb.Verification | None:
        if last:
            return await client.verification(video)
        since_ms = await client.verify(video, look_only=look_only)
        return await (client.verified(video, since_ms=since_ms) if wait else client.verification(video))

    found = ask_about_jobs(server, question)
    if found is None:
        complain("Nobody has verified this video.")
        raise typer.Exit(EXIT_FAILED)
    _show(VerificationView.of(video, found), as_json=as_json)
    if found.verdict not in {pb.VERDICT_UNSPECIFIED, pb.VERDICT_SOUND}:
        raise typer.Exit(EXIT_FAILED)


def _show(view: VerificationView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        show_lines(Console(), lines_of(view))
