"""`bench/run`: the command."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from bench import (
    balance,
    fleet,
    ladder,
    machine,
    moves,
    objects,
    relocation,
    report,
    serve,
    start,
    titles,
    upload,
    workers,
)
from bench.measure import Row
from services.shared.errors import TritonTubeError

_FAILURES: Final = (
    machine.MissingError,
    RuntimeError,
    AssertionError,
    TritonTubeError,
    OSError,
    subprocess.SubprocessError,
)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark: what it compares, and how often it does so unless told otherwise."""

    title: str
    run: Callable[..., Iterable[Row]]
    rounds: int
    quick_rounds: int


BENCHMARKS: Final = {
    "ladder": Benchmark(
        title="A ladder in pieces against one ffmpeg process", run=ladder.run, rounds=1, quick_rounds=1
    ),
    "titles": Benchmark(title="Quality by title", run=titles.run, rounds=1, quick_rounds=1),
    "workers": Benchmark(title="One and two workers", run=workers.run, rounds=3, quick_rounds=1),
    "fleet": Benchmark(title="What 1,000 workers would wait for", run=fleet.run, rounds=2, quick_rounds=1),
    "start": Benchmark(title="From an upload to the first picture", run=start.run, rounds=3, quick_rounds=1),
    "serve": Benchmark(title="Segments against nginx", run=serve.run, rounds=5, quick_rounds=2),
    "upload": Benchmark(title="Uploads against cp and sync", run=upload.run, rounds=2, quick_rounds=1),
    "objects": Benchmark(title="Objects against OpenStack Swift", run=objects.run, rounds=5, quick_rounds=2),
    "balance": Benchmark(
        title="The ring table against consistent hashing", run=balance.run, rounds=1, quick_rounds=1
    ),
    "moves": Benchmark(title="Nodes come and go under load", run=moves.run, rounds=1, quick_rounds=1),
    "relocation": Benchmark(
        title="All of a node moves to another one", run=relocation.run, rounds=1, quick_rounds=1
    ),
}


def main() -> int:
    """Run benchmarks; the exit code is 1 if one could not be finished."""
    options = _parse()
    # Also when terminated, stacks are stopped and files removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: stopped by SIGTERM"))
    options.work.mkdir(parents=True, exist_ok=True)
    names = options.names or list(BENCHMARKS)
    failed = [name for name in names if not _measure(name, BENCHMARKS[name], options)]
    if failed:
        print(f"bench: not finished: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description="Measure side by side with alternatives.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} [all]")
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: minutes, and more noise")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each variant is run")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    parser.add_argument(
        "--work",
        type=Path,
        default=machine.ROOT / ".bench",
        metavar="DIR",
        help="for temporary files, on the disk to be measured [.bench]",
    )
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return options


def _measure(name: str, benchmark: Benchmark, options: argparse.Namespace) -> bool:
    rounds = options.rounds or (benchmark.quick_rounds if options.quick else benchmark.rounds)
    intro = report.circumstances(f"{name}{' --quick' if options.quick else ''} --rounds {rounds}")
    print(f"\n## {benchmark.title}\n\n{intro}\n", flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=options.work) as work:
            rows = list(_watched(benchmark.run(Path(work), quick=options.quick, rounds=rounds)))
    except _FAILURES as error:
        print(f"bench: {name}: {error}", file=sys.stderr)
        return False
    measured = report.table(rows)
    print(measured, flush=True)
    if options.write:
        report.write(name, f"\n{intro}\n\n{measured}\n")
    return True


def _watched(rows: Iterable[Row]) -> Iterator[Row]:
    """Pass the rows on and tell, where someone may be waiting, how far it has come."""
    for subject, measured in groupby(rows, lambda row: row.subject):
        print(f"bench: {subject}: measured", file=sys.stderr)
        yield from measured


if __name__ == "__main__":
    sys.exit(main())
