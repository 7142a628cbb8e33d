"""What becomes of a job, by how its handler ended."""

from __future__ import annotations

import pytest

from services.shared.broker.outcome import Dead, Deferred, Done, Retry, decide
from services.shared.errors import (
    AmbiguousError,
    ElsewhereError,
    FencedError,
    JobError,
    OutOfSpaceError,
    PermanentJobError,
    TransientJobError,
    UnavailableError,
    UnsupportedMediaError,
)


@pytest.mark.parametrize("error", [None, FencedError("done by another")], ids=["returned", "fenced"])
@pytest.mark.parametrize("attempt", [1, 5, 9])
def test_what_is_done_is_done(error: Exception | None, attempt: int) -> None:
    assert decide(error, attempt=attempt, max_attempts=5) == Done()


@pytest.mark.parametrize(
    "error",
    [
        TransientJobError("x"),
        UnavailableError("x"),
        AmbiguousError("x"),
        ValueError("x"),
        TimeoutError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_tried_again_until_the_last_attempt(error: Exception) -> None:
    for attempt in (1, 4):
        outcome = decide(error, attempt=attempt, max_attempts=5)
        assert isinstance(outcome, Retry)
        assert outcome.reason == "x"
    last = decide(error, attempt=5, max_attempts=5)
    assert isinstance(last, Dead)
    assert last.reason == "Given up after 5 attempts: x"


@pytest.mark.parametrize(
    "error", [PermanentJobError("broken"), UnsupportedMediaError("broken")], ids=["permanent", "media"]
)
def test_what_cannot_get_better_dies_at_once(error: Exception) -> None:
    outcome = decide(error, attempt=1, max_attempts=5)

    assert isinstance(outcome, Dead)
    assert outcome.reason == "broken"


def test_the_detail_is_what_the_error_says_or_where_it_came_from() -> None:
    told = decide(PermanentJobError("broken", detail="stderr"), attempt=1, max_attempts=5)
    found = decide(KeyError("surprise"), attempt=1, max_attempts=5)

    assert isinstance(told, Dead)
    assert told.detail == "stderr"
    assert isinstance(found, Retry)
    assert "KeyError" in found.detail


def test_a_full_disk_is_never_the_fault_of_the_job() -> None:
    outcome = decide(OutOfSpaceError("no room"), attempt=99, max_attempts=5)

    assert isinstance(outcome, Deferred)
    assert outcome.reason == "no room"


def test_a_worker_that_lacks_what_another_has_is_never_the_fault_of_the_job() -> None:
    outcome = decide(ElsewhereError("no AV1 here"), attempt=99, max_attempts=5)

    assert isinstance(outcome, Deferred)
    assert outcome.reason == "no AV1 here"


def test_the_detail_tells_the_causes_and_what_was_run() -> None:
    exited = JobError("ffmpeg ended with exit code 1.")
    exited.add_note("Invalid data\n$ ffmpeg -i x")
    error = PermanentJobError("No sound.")
    error.__cause__ = exited
    outcome = decide(error, attempt=1, max_attempts=5)

    assert isinstance(outcome, Dead)
    assert outcome.detail == "ffmpeg ended with exit code 1.\nInvalid data\n$ ffmpeg -i x"


def test_an_error_without_words_is_named() -> None:
    outcome = decide(RuntimeError(), attempt=1, max_attempts=5)

    assert isinstance(outcome, Retry)
    assert outcome.reason == "RuntimeError"
