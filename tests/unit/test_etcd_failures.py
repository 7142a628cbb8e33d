"""What failed attempts mean."""

import pytest
from grpc import StatusCode

from services.shared.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RequestError,
    TooLargeError,
    UnavailableError,
)
from services.shared.etcd.failures import AttemptError, CompactedError, Verdict, as_error, judge
from services.shared.etcd.watches import why_canceled
from services.shared.stubs.etcd import rpc_pb2


@pytest.mark.parametrize(
    ("code", "details", "verdict"),
    [
        (StatusCode.UNAVAILABLE, "etcdserver: no leader", Verdict.NOT_DONE),
        (StatusCode.UNAVAILABLE, "etcdserver: not capable", Verdict.NOT_DONE),
        (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests", Verdict.NOT_DONE),
        (StatusCode.UNAVAILABLE, "etcdserver: leader changed", Verdict.UNKNOWN),
        (StatusCode.UNAVAILABLE, "etcdserver: request timed out", Verdict.UNKNOWN),
        (StatusCode.UNAVAILABLE, "Socket closed", Verdict.UNKNOWN),
        (StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", Verdict.UNKNOWN),
        (StatusCode.UNKNOWN, "context deadline exceeded", Verdict.UNKNOWN),
        (StatusCode.UNAUTHENTICATED, "etcdserver: invalid auth token", Verdict.STALE_TOKEN),
        (StatusCode.INVALID_ARGUMENT, "etcdserver: revision of auth store is old", Verdict.STALE_TOKEN),
        (StatusCode.INVALID_ARGUMENT, "etcdserver: key is not provided", Verdict.FINAL),
        (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", Verdict.FINAL),
        (StatusCode.PERMISSION_DENIED, "etcdserver: permission denied", Verdict.FINAL),
    ],
)
def test_an_attempt_is_judged_by_what_may_have_been_done(code, details, verdict):
    assert judge(code, details) is verdict


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (StatusCode.INVALID_ARGUMENT, "etcdserver: key is not provided", InvalidRequestError),
        (StatusCode.INVALID_ARGUMENT, "etcdserver: request is too large", TooLargeError),
        (StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max", TooLargeError),
        (StatusCode.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", UnavailableError),
        (StatusCode.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted", CompactedError),
        (
            StatusCode.OUT_OF_RANGE,
            "etcdserver: mvcc: required revision is a future revision",
            InvalidRequestError,
        ),
        (StatusCode.NOT_FOUND, "etcdserver: requested lease not found", NotFoundError),
        (StatusCode.FAILED_PRECONDITION, "etcdserver: lease already exists", ConflictError),
        (StatusCode.PERMISSION_DENIED, "etcdserver: permission denied", RequestError),
        (StatusCode.DATA_LOSS, "etcdserver: corrupt cluster", UnavailableError),
    ],
)
def test_a_final_answer_becomes_the_error_that_fits(code, details, kind):
    error = as_error(code, details)
    assert type(error) is kind
    assert str(error) == "etcd: " + details.removeprefix("etcdserver: ")


def test_an_answer_without_words_is_named_by_its_code():
    assert str(as_error(StatusCode.UNIMPLEMENTED, "")) == "etcd: UNIMPLEMENTED"


def test_a_watch_ended_by_compaction_says_where_history_begins():
    error = why_canceled(rpc_pb2.WatchResponse(canceled=True, compact_revision=7), denials=1)
    assert isinstance(error, CompactedError)
    assert error.compact_revision == 7


@pytest.mark.parametrize("reason", ["etcdserver: permission denied", "etcdserver: user name is empty"])
def test_a_denied_watch_is_believed_only_after_new_logins(reason):
    response = rpc_pb2.WatchResponse(canceled=True, cancel_reason=reason)
    first, last = why_canceled(response, denials=1), why_canceled(response, denials=9)
    assert isinstance(first, AttemptError)
    assert first.verdict is Verdict.STALE_TOKEN
    assert isinstance(last, RequestError)


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        ("rpc error: code = Unauthenticated desc = etcdserver: invalid auth token", Verdict.STALE_TOKEN),
        ("etcdserver: no leader", Verdict.UNKNOWN),
        ("", Verdict.UNKNOWN),
    ],
)
def test_a_watch_ended_for_passing_reasons_goes_on(reason, verdict):
    error = why_canceled(rpc_pb2.WatchResponse(canceled=True, cancel_reason=reason), denials=9)
    assert isinstance(error, AttemptError)
    assert error.verdict is verdict
    assert str(error)
