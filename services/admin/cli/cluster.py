"""The commands that look at the ring and at its changes."""

from __future__ import annotations

import typer
from rich.console import Console

from services.admin.cli.asking import ask, print_json
from services.admin.cli.client import AdminClient
from services.admin.cli.following import follow
from services.admin.cli.input import (
    DEFAULT_SERVER,
    AsJson,
    AsJsonLines,
    PlainUsage,
    RequestWords,
    Server,
    ServerOption,
)
from services.admin.display.changes import show_requests
from services.admin.display.status import show_nodes, show_status
from services.admin.views.changes import RequestView, View
from services.admin.views.cluster import ClusterView


class NodesView(View):
    """Addresses of the ring's nodes."""

    nodes: tuple[str, ...]


class ChangesView(View):
    """Changes, newest first."""

    changes: tuple[RequestView, ...]


app = typer.Typer()


@app.command("list")
def list_nodes(
    named: Server = None, *, server: ServerOption = DEFAULT_SERVER, as_json: AsJson = False
) -> None:
    """List the addresses of the storage nodes in the ring."""
    nodes = ask(named or server, AdminClient.nodes)
    if as_json:
        print_json(NodesView(nodes=tuple(nodes)))
    else:
        show_nodes(Console(), nodes)


@app.command()
def status(named: Server = None, *, server: ServerOption = DEFAULT_SERVER, as_json: AsJson = False) -> None:
    """Show the ring, how each of its storage nodes is, and what goes on."""
    found = ask(named or server, AdminClient.status)
    if as_json:
        print_json(ClusterView.of(found))
    else:
        show_status(Console(), found)


@app.command()
def changes(named: Server = None, *, server: ServerOption = DEFAULT_SERVER, as_json: AsJson = False) -> None:
    """List changes that wait, the one in progress, and the last that ended; newest first."""
    found = ask(named or server, AdminClient.changes)
    if as_json:
        print_json(ChangesView(changes=tuple(map(RequestView.of, found))))
    else:
        show_requests(Console(), found)


@app.command(cls=PlainUsage)
def watch(
    words: RequestWords = None, *, server: ServerOption = DEFAULT_SERVER, as_json: AsJsonLines = False
) -> None:
    """Show how a change goes on, until it is done."""
    named, request_id = words or ("", "")
    follow(named or server, request_id, as_json=as_json)
