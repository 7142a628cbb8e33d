"""Following a change on the command line until it ends, or until the operator has seen enough."""

from __future__ import annotations

import time
from contextlib import aclosing

import typer
from rich.console import Console

from services.admin.cli.asking import EXIT_INTERRUPTED, ask, complain, print_json
from services.admin.cli.client import AdminClient
from services.admin.display.changes import outcome, watch_command
from services.admin.display.progress import reporting
from services.admin.display.tables import show_lines
from services.admin.views.changes import WatchView
from services.shared.lifecycle import EXIT_FAILED
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb


def follow(server: str, request_id: str, *, as_json: bool) -> None:
    """Show a request (none named: the change in progress) until it ends, and exit by how it ended."""
    try:
        end = ask(server, lambda client: _to_the_end(client, request_id, as_json=as_json))
    except KeyboardInterrupt:
        complain(f"no longer waiting; the change goes on. See it with: {watch_command(request_id, server)}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if end.state != pb.REQUEST_STATE_DONE:
        complain(outcome(end))
        raise typer.Exit(EXIT_FAILED)
    if not as_json:
        show_lines(Console(), [outcome(end)])


async def _to_the_end(client: AdminClient, request_id: str, *, as_json: bool) -> pb.ChangeRequest:
    end = pb.ChangeRequest()
    with reporting(Console(), quiet=as_json) as reporter:
        async with aclosing(client.follow(request_id, on_outage=complain)) as stream:
            async for news in stream:
                end = news.request
                if as_json:
                    print_json(WatchView.of(news), on_one_line=True)
                reporter.show(news, time.monotonic())
    return end
