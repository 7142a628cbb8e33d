"""How operators are shown things: tables on a terminal, tab-separated lines in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

UNKNOWN: Final = "-"
_MILLISECONDS: Final = 1000


def show_rows(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below their headings; nothing, if there are none."""
    if rows and console.is_terminal:
        _print_table(console, headings, rows)
    elif rows:
        show_lines(console, ("\t".join(row) for row in (headings, *rows)))


def show_list(console: Console, heading: str, items: Sequence[str]) -> None:
    """Print a numbered list, in a pipe the bare items one per line."""
    if console.is_terminal:
        _print_table(console, ("#", heading), [(str(number), item) for number, item in enumerate(items, 1)])
    else:
        show_lines(console, items)


def show_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines exactly as they are, on a terminal above whatever moves there."""
    for line in lines:
        if console.is_terminal:
            console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)
        else:
            console.file.write(f"{line}\n")
    console.file.flush()


def percent(fraction: float) -> str:
    """`33.3%`."""
    return f"{fraction:.1%}"


def from_to(before: float, after: float) -> str:
    """`33.3% -> 25.0%`; one number where nothing changes."""
    return percent(before) if percent(before) == percent(after) else f"{percent(before)} -> {percent(after)}"


def span(seconds: float) -> str:
    """`0:01:20`."""
    return str(timedelta(seconds=int(seconds)))


def local_time(at_ms: int) -> str:
    """A moment by the clock of whoever looks: `2026-11-23 14:03:22`."""
    moment = datetime.fromtimestamp(at_ms / _MILLISECONDS, UTC).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def count(number: int, noun: str) -> str:
    """`1 file`, `1,200 files`; nouns that end in -y change it."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"


def _print_table(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*headings, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
