"""Every error of ours has its place in HTTP."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from services.shared import errors
from services.web.problems import problem_of, problem_of_form
from services.web.ranges import RangeNotSatisfiableError

EXPECTED = [
    (errors.InvalidRequestError("x"), 400),
    (errors.NotFoundError("x"), 404),
    (errors.ConflictError("x"), 409),
    (errors.TooLargeError("x"), 413),
    (errors.UnsupportedMediaError("x"), 415),
    (errors.FencedError("x"), 409),
    (errors.StaleRingError("x", epoch=1), 503),
    (errors.CorruptFileError("x"), 503),
    (errors.UnavailableError("x"), 503),
    (errors.AmbiguousError("x"), 503),
    (errors.OutOfSpaceError("x"), 507),
    (errors.PermanentJobError("x"), 500),
    (errors.TritonTubeError("x"), 500),
]


@pytest.mark.parametrize(("error", "status"), EXPECTED, ids=lambda value: type(value).__name__)
def test_an_error_is_answered_by_its_class(error, status):
    assert problem_of(error).status == status


@pytest.mark.parametrize(("error", "status"), EXPECTED, ids=lambda value: type(value).__name__)
def test_what_passes_says_when_to_come_back(error, status):
    assert ("Retry-After" in problem_of(error).headers) == (status in {503, 507})


def test_a_problem_is_told_as_the_rfc_wants_it():
    problem = json.loads(problem_of(errors.NotFoundError("There is no such video.")).encode())
    assert problem == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such video.",
    }


def test_a_range_outside_the_file_tells_the_size():
    problem = problem_of(RangeNotSatisfiableError(123))
    assert problem.status is HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    assert problem.headers["Content-Range"] == "bytes */123"


@pytest.mark.parametrize(
    ("loc", "kind", "msg", "sentence"),
    [
        (["body"], "missing", "Field required", "The body is missing."),
        (["body", "title"], "missing", "Field required", "The body's title is missing."),
        (
            ["body", "title"],
            "string_type",
            "Input should be a valid string",
            "The body's title should be a valid string.",
        ),
        (
            ["query", "q"],
            "string_too_long",
            "String should have at most 3 characters",
            "The query's q should have at most 3 characters.",
        ),
        (
            ["body", "a", 0],
            "extra_forbidden",
            "Extra inputs are not permitted",
            "The body's a.0: Extra inputs are not permitted.",
        ),
    ],
)
def test_what_a_form_lacks_is_told_in_a_sentence(loc, kind, msg, sentence):
    problem = problem_of_form([{"loc": loc, "type": kind, "msg": msg}])
    assert (problem.status, problem.detail) == (422, sentence)


def test_each_fault_of_a_form_has_its_sentence():
    missing = [{"loc": ["body", name], "type": "missing", "msg": "Field required"} for name in ("a", "b")]
    assert problem_of_form(missing).detail == "The body's a is missing. The body's b is missing."
