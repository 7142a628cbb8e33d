"""The model behind the numbers of fleets that nobody here has."""

from __future__ import annotations

import pytest

from bench.queueing import flow, knee
from bench.schedule import makespan_s


def test_a_single_worker_never_waits_for_anybody():
    alone = flow({"etcd": 0.01, "broker": 0.02}, think_s=0.97, customers=1)
    assert alone.rounds_per_s == pytest.approx(1.0)
    assert alone.waiting_s == pytest.approx(0.03)
    assert alone.busy == pytest.approx({"etcd": 0.01, "broker": 0.02})


def test_two_workers_at_one_station_meet_as_the_closed_form_says():
    # Exponential service of 1 s, no thinking: one of the two always waits, so the station is always busy.
    crowded = flow({"only": 1.0}, think_s=0.0, customers=2)
    assert crowded.rounds_per_s == pytest.approx(1.0)
    # Thinking for 1 s on average: the machine repair problem, throughput 4/5.
    repairs = flow({"only": 1.0}, think_s=1.0, customers=2)
    assert repairs.rounds_per_s == pytest.approx(0.8)


def test_throughput_grows_with_the_workers_until_the_busiest_station_has_no_time_left():
    demands_s = {"etcd": 0.01, "broker": 0.002}
    assert knee(demands_s, think_s=9.988) == pytest.approx(1000)
    few = flow(demands_s, think_s=9.988, customers=100)
    many = flow(demands_s, think_s=9.988, customers=5000)
    assert few.rounds_per_s == pytest.approx(10, rel=0.02)
    assert many.rounds_per_s == pytest.approx(100, rel=0.001)
    assert many.busy["etcd"] == pytest.approx(1, rel=0.001)


@pytest.mark.parametrize(
    ("jobs_s", "workers", "expected_s"),
    [
        ([], 3, 0),
        ([5], 3, 5),
        ([1, 1, 1, 1], 2, 2),
        ([4, 1, 1, 1, 1], 2, 4),
        ([1, 1, 1, 1, 4], 2, 6),
    ],
)
def test_whoever_is_free_first_takes_the_next_job(jobs_s, workers, expected_s):
    assert makespan_s(jobs_s, workers=workers) == expected_s
