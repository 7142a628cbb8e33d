"""What the command `tritontube` shows to people about a stack."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from time import time
from typing import Final

from rich.console import Console
from rich.table import Table

from services.local.child import State
from services.local.endpoints import Endpoints
from services.local.status import Status

_COLOURS: Final = {
    State.READY: "green",
    State.STARTING: "yellow",
    State.RESTARTING: "yellow",
    State.DEAD: "red",
    State.STOPPED: "dim",
}
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def ready(endpoints: Endpoints, data: Path, *, stop_with: str) -> None:
    """Say where everything is."""
    broker = endpoints.rabbitmq
    rows = {
        "Library": f"[bold]{endpoints.web}[/bold]",
        "RabbitMQ": (
            f"{broker.management} (user {broker.user}, password {broker.password})"
            if broker.management
            else "as TRITONTUBE_AMQP_URL says"
        ),
        "Admin gRPC": f"{endpoints.admin} (tritontube-admin list {endpoints.admin})",
        "etcd": " ".join(member.client for member in endpoints.etcd),
        "Data": f"{data.resolve()} (logs in {data.resolve() / 'logs'})",
    }
    console = _console()
    console.print("\n[bold green]TritonTube is ready.[/bold green]\n")
    for name, where in rows.items():
        console.print(f"  {name:<12}{where}")
    console.print(f"\nStop with {stop_with}.\n")


def status(found: Status) -> None:
    """A table of a stack's processes."""
    table = Table("process", "state", "pid", "restarts", "for", "address", box=None, header_style="bold")
    for child in found.children:
        table.add_row(
            child.name,
            f"[{_COLOURS[child.state]}]{child.state}[/]",
            str(child.pid or ""),
            str(child.restarts),
            duration(time() - child.since),
            child.address,
        )
    _console().print(table)


def duration(seconds: float) -> str:
    """A time span in its largest unit and the next: `2d 3h`, `4m 5s`, `6s`."""
    rest = max(0, int(seconds))
    for (name, size), (lower, lower_size) in pairwise(_UNITS):
        if rest >= size:
            return f"{rest // size}{name} {rest % size // lower_size}{lower}"
    return f"{rest}s"


def _console() -> Console:
    # Addresses are copied from here, by people and by scripts: never broken over two lines.
    return Console(soft_wrap=True, highlight=False)
