"""Many damaged files, or one of them again, from the command line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.hunt import Verdict, try_seed
from tests.fuzz.mutation import mutant
from tests.fuzz.originals import originals

_PROGRESS_EVERY = 100


def main() -> int:
    """Run what is asked for; exit with 1 if a worker would not have coped."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="at the same time (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="run this one, and keep its file")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="tritontube-originals-") as folder:
        material = originals(Path(folder))
    if asked.seed is not None:
        return _once(asked.seed, material)
    seeds = range(asked.first, asked.first + asked.runs)
    return asyncio.run(_soak(seeds, material, asked.processes))


def _once(seed: int, material: Sequence[bytes]) -> int:
    kept = Path(f"mutant-{seed}.bin")
    kept.write_bytes(mutant(seed, material))
    verdict = asyncio.run(try_seed(seed, material))
    sys.stdout.write(f"{verdict}\nThe file is {kept}.\n")
    return bool(verdict.fault)


async def _soak(seeds: range, material: Sequence[bytes], processes: int) -> int:
    slots = asyncio.Semaphore(processes)
    outcomes = Counter[str]()

    async def one(seed: int) -> None:
        async with slots:
            verdict = await try_seed(seed, material)
        outcomes[_kind(verdict)] += 1
        if verdict.fault or outcomes.total() % _PROGRESS_EVERY == 0 or outcomes.total() == len(seeds):
            said = f"seed {seed}: {verdict.fault}" if verdict.fault else _summary(outcomes)
            sys.stdout.write(f"{said}\n")
            sys.stdout.flush()

    async with asyncio.TaskGroup() as group:
        for seed in seeds:
            group.create_task(one(seed))
    return bool(outcomes["faults"])


def _kind(verdict: Verdict) -> str:
    if verdict.fault:
        return "faults"
    return "refused" if verdict.digested.refusal else "encoded"


def _summary(outcomes: Counter[str]) -> str:
    return f"{outcomes.total()} files: " + ", ".join(f"{count} {kind}" for kind, count in outcomes.items())


if __name__ == "__main__":
    sys.exit(main())
