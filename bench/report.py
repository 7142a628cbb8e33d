"""Measurements as tables: on the terminal, and between the markers of docs/benchmarks.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Final

from bench import machine
from bench.measure import Metric, Row

DOCUMENT: Final = machine.ROOT / "docs" / "benchmarks.md"
_HEAD: Final = ("measured", "variant", "min", "median", "max", "compared", "range")
_TEXTS: Final = frozenset({0, 1})
"""Columns aligned to the left; the others hold numbers."""


def circumstances(options: str) -> str:
    """Where, when and on what the measurements that follow are made."""
    day = datetime.now(UTC).date().isoformat()
    return f"*{day}, commit {machine.commit()}, `bench/run {options}`. {machine.facts()}.*"


def table(rows: Iterable[Row]) -> str:
    """The rows as a table in Markdown, aligned so that it reads well as it is."""
    body = [line for _, group in groupby(rows, _measured) for line in _lines(list(group))]
    widths = [max(map(len, column)) for column in zip(_HEAD, *body, strict=True)]
    rules = [f"{'-' * (width - 1)}{'-' if column in _TEXTS else ':'}" for column, width in enumerate(widths)]
    return "\n".join(_joined(line, widths) for line in (_HEAD, rules, *body))


def write(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Replace what stands between a benchmark's markers.

    Raises:
        ValueError: the document has no such markers.
    """
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    before = document.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    after, count = pattern.subn(lambda _: f"{begin}\n{text}\n{end}", before)
    if count != 1:
        raise ValueError(f"{document} has no place for {name}: {begin} … {end}")
    document.write_text(after, encoding="utf-8")


def _measured(row: Row) -> str:
    return f"{row.subject}: {row.metric.name} ({row.metric.unit})"


def _lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [_line(_measured(row) if row is rows[0] else "", row) for row in rows]


def _line(measured: str, row: Row) -> tuple[str, ...]:
    spread = (min(row.values), median(row.values), max(row.values))
    numbers = (f"{value:,.{row.metric.digits}f}" for value in spread)
    return (measured, row.variant, *numbers, *_compared(row.metric, row.against))


def _compared(metric: Metric, against: Sequence[float]) -> tuple[str, str]:
    if not against:
        return "", ""
    form = f"{{:+.{metric.digits}f}}" if metric.logarithmic else "{:.2f}"
    return form.format(median(against)), " to ".join(form.format(end) for end in (min(against), max(against)))


def _joined(line: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.ljust(width) if column in _TEXTS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"
