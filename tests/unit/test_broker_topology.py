"""The queues of a work queue: their names tell the truth about their arguments."""

from __future__ import annotations

import pytest

from services.shared.broker.topology import Topology, dead_queue, delay_label, is_work_queue
from services.shared.messages import BULK_QUEUE, FIRST_QUEUE, LATE_QUEUE

WORK = "transcode.first"


def test_a_work_queue_comes_with_its_delays_and_its_dead_letters() -> None:
    assert [queue.name for queue in Topology().family(WORK)] == [
        "transcode.first",
        "retry.transcode.first.10s",
        "retry.transcode.first.1m",
        "retry.transcode.first.10m",
        "dead.transcode.first",
    ]


def test_all_are_quorum_queues_with_a_delivery_limit() -> None:
    for queue in Topology().family(WORK):
        assert queue.arguments["x-queue-type"] == "quorum"
        assert isinstance(queue.arguments["x-delivery-limit"], int)


def test_a_retry_goes_back_to_its_work_queue_after_the_time_in_its_name() -> None:
    _, ten_seconds, *_ = Topology().family(WORK)

    assert ten_seconds.arguments["x-message-ttl"] == 10_000
    assert ten_seconds.arguments["x-dead-letter-exchange"] == "tritontube.jobs"
    assert ten_seconds.arguments["x-dead-letter-routing-key"] == WORK


def test_a_job_that_is_taken_too_often_joins_the_dead_letters() -> None:
    work, *_, dead = Topology().family(WORK)

    assert work.arguments["x-dead-letter-exchange"] == dead.exchange
    assert work.arguments["x-dead-letter-routing-key"] == dead.routing_key
    assert dead.name == dead_queue(WORK)


@pytest.mark.parametrize(("failures", "label"), [(1, "10s"), (2, "1m"), (3, "10m"), (4, "10m"), (19, "10m")])
def test_delays_grow_and_the_last_repeats(failures: int, label: str) -> None:
    assert Topology().retry_queue(WORK, failures=failures) == f"retry.{WORK}.{label}"


@pytest.mark.parametrize(
    ("delay_s", "label"), [(0.2, "200ms"), (1, "1s"), (90, "90s"), (60, "1m"), (7200, "120m")]
)
def test_labels_are_exact(delay_s: float, label: str) -> None:
    assert delay_label(delay_s) == label


@pytest.mark.parametrize("name", [FIRST_QUEUE, BULK_QUEUE, LATE_QUEUE, "storage.handoff.node-1"])
def test_jobs_may_go_to_the_queues_that_workers_and_nodes_serve(name: str) -> None:
    assert is_work_queue(name)


@pytest.mark.parametrize("name", ["transcode.frist", "storage.handoff.", "storage.handoff.a.b", ""])
def test_a_mistyped_name_is_no_new_queue(name: str) -> None:
    assert not is_work_queue(name)
