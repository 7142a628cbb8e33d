"""The command `tritontube`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from services.local import background, display
from services.local.launcher import Options
from services.local.launcher import up as run_stack
from services.local.service_commands import service_command
from services.local.status import read_status
from services.local.transfers import Transfer, progress_bars, upload_all
from services.local.uploader import Uploader
from services.shared.errors import InvalidRequestError, TritonTubeError
from services.shared.lifecycle import EXIT_FAILED, EXIT_USAGE
from services.shared.settings import StorageSettings, TranscoderSettings, WebSettings

Folder = Annotated[
    Path, typer.Option("--data", help="The stack's folder: state, logs, endpoints.json.", metavar="DIR")
]
Port = Annotated[int, typer.Option(help="Of the library page; 0: any free one.", min=0, max=65535)]
BasePort = Annotated[
    int | None, typer.Option(help="Count new ports up from here (else free ones).", min=1, max=65535)
]
StorageNodes = Annotated[int | None, typer.Option(help="Storage nodes [3].", min=1, max=32)]
Transcoders = Annotated[int | None, typer.Option(help="Transcoder workers [2].", min=0, max=64)]
EtcdNodes = Annotated[int | None, typer.Option(help="etcd members [3].", min=1, max=7)]
Replicas = Annotated[int | None, typer.Option(help="Copies of each file [2].", min=1, max=7)]
Webs = Annotated[int | None, typer.Option(help="Web processes [1].", min=1, max=16)]
Restart = Annotated[bool, typer.Option(help="Start processes again that die.")]
Background = Annotated[
    bool, typer.Option("--background", help="Return once everything is ready; `down` stops it.")
]
Files = Annotated[list[Path], typer.Argument(help="Videos of any kind that ffmpeg knows.", metavar="FILE...")]
Server = Annotated[str, typer.Option(help="Base URL of a web service.", envvar="TRITONTUBE_SERVER")]
Title = Annotated[str | None, typer.Option(help="Title of a single file (else the file's name).")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until each is ready to be watched.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the videos as JSON.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Entry point of the console script."""
    app()


@app.command()
def up(
    *,
    data: Folder = Path("data"),
    port: Port = 8080,
    storage_nodes: StorageNodes = None,
    transcoders: Transcoders = None,
    etcd_nodes: EtcdNodes = None,
    replicas: Replicas = None,
    webs: Webs = None,
    base_port: BasePort = None,
    restart: Restart = True,
    in_background: Background = False,
) -> None:
    """Start everything on this machine: etcd, RabbitMQ and all services; Ctrl-C stops it.

    Numbers [default] and ports chosen at the first start of a folder are remembered there.
    """
    numbers = {
        "storage_nodes": storage_nodes,
        "transcoders": transcoders,
        "etcd_nodes": etcd_nodes,
        "replicas": replicas,
        "webs": webs,
    }
    options = Options(data=data, port=port, numbers=numbers, base_port=base_port, restart=restart)
    with _errors_translated():
        if in_background:
            found = background.start(data, sys.argv[1:])
            display.ready(found, data, stop_with=f"tritontube down --data {shlex.quote(str(data))}")
            return
        code = run_stack(options, announce=lambda found: display.ready(found, data, stop_with="Ctrl-C"))
    raise typer.Exit(code)


@app.command()
def down(*, data: Folder = Path("data")) -> None:
    """Stop the stack that runs on a folder."""
    with _errors_translated():
        stopped = background.stop(data)
    print(f"The stack on {data} has stopped." if stopped else f"No stack is running on {data}.")


@app.command()
def status(*, data: Folder = Path("data")) -> None:
    """Show the processes of the stack that runs on a folder."""
    found = read_status(data)
    if found is None:
        print(f"No stack is running on {data}.")
        raise typer.Exit(EXIT_FAILED)
    display.status(found)


@app.command()
def upload(
    *,
    files: Files,
    server: Server = "http://127.0.0.1:8080",
    title: Title = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Upload videos, with progress."""
    with _errors_translated():
        if title is not None and len(files) > 1:
            raise InvalidRequestError("--title names one video: give one file with it.")
        with Uploader(server) as uploader, progress_bars() as bars:
            transfers = upload_all(uploader, files, title=title, wait=wait, bars=bars)
    _report(transfers, server=server, as_json=as_json)


app.command("web")(service_command("web", WebSettings, help_text="Run one web service."))
app.command("transcoder")(
    service_command("transcoder", TranscoderSettings, help_text="Run one transcoder worker.")
)
app.command("storage")(service_command("storage", StorageSettings, help_text="Run one storage node."))


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - called by typer
    if wanted:
        print(f"tritontube {version('tritontube')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Self-hosted video on demand."""


def _report(transfers: list[Transfer], *, server: str, as_json: bool) -> None:
    """Print what became of the files; the exit code says whether all went well."""
    videos = [transfer.video for transfer in transfers if transfer.video]
    if as_json:
        print(json.dumps([video.model_dump() for video in videos], indent=2))
    else:
        for video in videos:
            print(f"{video.title}: {video.status}, {server.rstrip('/')}{video.links.watch}")
    complaints = [transfer.complaint for transfer in transfers if transfer.complaint]
    for complaint in complaints:
        print(f"tritontube: {complaint}", file=sys.stderr)
    if complaints:
        raise typer.Exit(EXIT_FAILED)


@contextmanager
def _errors_translated() -> Iterator[None]:
    """Errors made on purpose become a sentence and an exit code."""
    try:
        yield
    except (TritonTubeError, OSError) as error:
        print(f"tritontube: {error}", file=sys.stderr)
        usage = isinstance(error, InvalidRequestError)
        raise typer.Exit(EXIT_USAGE if usage else EXIT_FAILED) from error
