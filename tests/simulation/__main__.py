"""Many runs, or one again with its trace, from the command line."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.world import Outcome, simulate

_PROGRESS_EVERY = 500


def main() -> int:
    """Run what is asked for; exit with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="at the same time (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="run this one, and print what happened")
    parser.add_argument("--mutants", action="store_true", help="find a seed that catches each mutant")
    asked = parser.parse_args()
    if asked.seed is not None:
        outcome = simulate(asked.seed)
        sys.stdout.write(f"{outcome}\n")
        return bool(outcome.violation)
    with ProcessPoolExecutor(asked.processes) as pool:
        seeds = range(asked.first, asked.first + asked.runs)
        return _hunt(pool, seeds) if asked.mutants else _soak(pool, seeds)


def _soak(pool: ProcessPoolExecutor, seeds: range) -> int:
    for number, outcome in enumerate(pool.map(simulate, seeds, chunksize=20), start=1):
        if outcome.violation:
            sys.stdout.write(f"{outcome}\n")
            pool.shutdown(cancel_futures=True)
            return 1
        if number % _PROGRESS_EVERY == 0 or number == len(seeds):
            sys.stdout.write(f"{number} runs, every promise kept\n")
            sys.stdout.flush()
    return 0


def _hunt(pool: ProcessPoolExecutor, seeds: range) -> int:
    caught = list(pool.map(partial(_catch, seeds=seeds), range(len(MUTANTS))))
    return int(None in caught)


def _catch(number: int, seeds: range) -> int | None:
    mutant = MUTANTS[number]
    found = first_caught(mutant, seeds)
    what = f"seed {found.seed}: {found.violation}" if found else "not caught"
    sys.stdout.write(f"{mutant}: {what}\n")
    sys.stdout.flush()
    return found.seed if found else None


def first_caught(mutant: Mutant, seeds: range) -> Outcome | None:
    """The first run that shows what the mutant lacks."""
    with mutant.patch():
        return next((outcome for outcome in map(simulate, seeds) if outcome.violation), None)


if __name__ == "__main__":
    sys.exit(main())
