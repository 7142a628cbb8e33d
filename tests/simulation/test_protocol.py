"""Run after run, whatever goes wrong, the protocol keeps its promises."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.simulation.world import Outcome, simulate

RUNS = 300
pytestmark = pytest.mark.timeout(900)  # twenty seconds where the machine has nothing else to do
EVENTS = (
    "decides on add",
    "decides on drain",
    "decides on replace",
    "decides on rebalance",
    "decides on dead",
    "decides on abort",
    "commits epoch",
    "reports sync",
    "crashes",
    "loses power",
    "disk is lost",
    "disks are slow",
    "is cut off from etcd",
    "are parted",
    "drops",
    "is switched off",
    "late-writer has",
)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    # Processes of their own: other tests may have left threads in this one, which do not survive a fork.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(simulate, range(RUNS), chunksize=10))


def test_no_interleaving_of_clients_admins_nodes_and_faults_breaks_a_promise(outcomes):
    broken = [outcome for outcome in outcomes if outcome.violation]
    assert not broken, str(broken[0])


def test_the_runs_are_about_everything_that_can_happen(outcomes):
    story = "\n".join(line for outcome in outcomes for line in outcome.trace)
    assert [event for event in EVENTS if event not in story] == []
    assert sum(outcome.files for outcome in outcomes) > 5 * RUNS
    assert sum(outcome.epochs for outcome in outcomes) > 5 * RUNS


def test_a_seed_replays_its_run(outcomes):
    assert simulate(7).trace == outcomes[7].trace
