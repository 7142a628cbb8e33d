"""The command `tritontube-admin`: looks after the storage cluster, through any web instance."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console

from services.admin import display
from services.admin.client import AdminClient
from services.shared.errors import TritonTubeError
from services.shared.lifecycle import EXIT_FAILED

T = TypeVar("T")

_DEFAULT_SERVER: Final = "127.0.0.1:8081"
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):\d{1,5}")

app = typer.Typer(
    name="tritontube-admin",
    help="Look after TritonTube's storage cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _address(value: str | None) -> str | None:
    if value is not None and not _ADDRESS.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is not an address; write host:port, for example localhost:8081.")
    return value


Server = Annotated[
    str | None,
    typer.Argument(
        metavar="SERVER",
        help="Admin address of a web instance, host:port; without it, that of --server.",
        callback=_address,
        show_default=False,
    ),
]
ServerOption = Annotated[
    str,
    typer.Option(
        "--server", help="The admin address, as an option.", envvar="TRITONTUBE_ADMIN", callback=_address
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Entry point of the console script."""
    app()


@app.command("list")
def list_nodes(
    server: Server = None, *, server_option: ServerOption = _DEFAULT_SERVER, as_json: AsJson = False
) -> None:
    """List the addresses of the storage nodes in the ring."""
    nodes = _ask(server or server_option, AdminClient.nodes)
    if as_json:
        _print_json({"nodes": nodes})
    else:
        display.show_nodes(Console(), nodes)


@app.command()
def status(
    server: Server = None, *, server_option: ServerOption = _DEFAULT_SERVER, as_json: AsJson = False
) -> None:
    """Show the ring, and how each of its storage nodes is."""
    found = _ask(server or server_option, AdminClient.status)
    if as_json:
        _print_json(display.status_record(found))
    else:
        display.show_status(Console(), found)


def _ask(server: str, question: Callable[[AdminClient], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with AdminClient.to(server) as client:
            return await question(client)

    try:
        return asyncio.run(ask())
    except TritonTubeError as error:
        print(f"tritontube-admin: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED) from error


def _print_json(record: dict[str, Any]) -> None:
    print(json.dumps(record, indent=2))
