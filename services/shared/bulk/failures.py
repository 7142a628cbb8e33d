"""Errors on bulk connections: the status codes of gRPC, by the same table."""

from __future__ import annotations

import logging
from typing import Final

from grpc import StatusCode

from services.shared.errors import StaleRingError, TritonTubeError
from services.shared.rpc import MAX_DETAILS, UNEXPECTED, error_from, status_of
from services.shared.stubs.tritontube.storage.v1 import bulk_pb2

log = logging.getLogger(__name__)

_CODES: Final = {code.value[0]: code for code in StatusCode}


def failure_of(error: Exception) -> bulk_pb2.BulkFailure:
    """What the caller is told of an error."""
    if not isinstance(error, TritonTubeError):
        log.error("a call for file contents failed", exc_info=error)
        error = TritonTubeError(UNEXPECTED)
    return bulk_pb2.BulkFailure(
        status=status_of(error).value[0],
        details=str(error)[:MAX_DETAILS],
        epoch=error.epoch if isinstance(error, StaleRingError) else 0,
    )


def error_in(failure: bulk_pb2.BulkFailure, *, peer: str) -> TritonTubeError:
    """The error that a failure stands for."""
    code = _CODES.get(failure.status, StatusCode.UNKNOWN)
    return error_from(code, failure.details, epoch=failure.epoch or None, peer=peer)
