"""Every exception that crosses a module boundary, on one page.

::

    TritonTubeError
    |-- RequestError                 the caller's fault: repeating it unchanged cannot help
    |   |-- InvalidRequestError      malformed input: a bad key, a bad field, a bad address
    |   |   `-- ChecksumError        what arrived is not what its sender meant to send
    |   |-- NotFoundError            the thing named does not exist (proved, not guessed)
    |   |   `-- GoneError            it did, and never will again
    |   |-- ConflictError            it exists already with other content, or its state forbids the step
    |   |   `-- BusyError            somebody else is at it
    |   |-- TooLargeError            over a limit that the operator set
    |   `-- UnsupportedMediaError    the bytes are not a video that can be played (reason for people)
    |-- StaleRingError               the caller's epoch is older than the receiver's: re-read the ring
    |-- FencedError                  another attempt holds or has finished this work: drop ours
    |-- CorruptFileError             stored bytes do not match their checksums: never served, never trusted
    |-- JobError                     a job ended badly
    |   |-- PermanentJobError        no retry can help; carries the reason
    |   |   |-- UnfitPieceError      this source can't be cut by seeking: encode it as a single piece
    |   |   `-- DeadlyJobError       the job ends each worker that takes it
    |   `-- TransientJobError        worth another attempt after a delay
    |       `-- ForeignEncoderError  this worker's encoders are not those that the video was begun with
    |           `-- ElsewhereError   but another worker's are
    `-- UnavailableError             a backing service or node is away: try again later
        |-- AmbiguousError           the write may or may not have been applied: re-read before deciding
        |-- StrangerError            something else answers where the peer should be
        `-- OutOfSpaceError          every candidate is at its reserve

Edges translate by table, never by reading messages: gRPC status (`services.shared.rpc`), HTTP problem
(`services.web.problems`), exit code (the CLIs).
"""


class TritonTubeError(Exception):
    """Base of all errors raised on purpose by this project. `str()` is a sentence for people."""


class RequestError(TritonTubeError):
    """The caller asked for something that cannot be done as asked."""


class InvalidRequestError(RequestError):
    """Malformed input."""


class ChecksumError(InvalidRequestError):
    """What arrived does not match the checksum that came with it."""


class NotFoundError(RequestError):
    """The named thing does not exist."""


class GoneError(NotFoundError):
    """The named thing existed, and was ended."""


class ConflictError(RequestError):
    """The thing exists with other content, or its present state forbids the step."""


class BusyError(ConflictError):
    """Somebody else is at it, whom it takes a while to end."""


class TooLargeError(RequestError):
    """A limit set by the operator would be exceeded."""


class UnsupportedMediaError(RequestError):
    """The bytes are not a video that this installation can play."""


class StaleRingError(TritonTubeError):
    """The caller works from an older ring epoch than the receiver."""

    def __init__(self, message: str, *, epoch: int) -> None:
        super().__init__(message)
        self.epoch = epoch


class FencedError(TritonTubeError):
    """The record moved on since it was read: this attempt must not write."""


class CorruptFileError(TritonTubeError):
    """Stored bytes do not match their checksums. The copy counts as absent."""


class JobError(TritonTubeError):
    """A job ended badly."""


class PermanentJobError(JobError):
    """Retrying cannot help. `detail` holds what an engineer wants to see."""

    def __init__(self, reason: str, *, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail


class UnfitPieceError(PermanentJobError):
    """A piece came out other than planned, from every seek point: encode this source as a single piece."""


class DeadlyJobError(PermanentJobError):
    """Each worker that takes the job dies in the middle of it."""


class TransientJobError(JobError):
    """A passing fault: worth another attempt after a delay."""

    def __init__(self, reason: str, *, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail


class ForeignEncoderError(TransientJobError):
    """This worker lacks an encoder, or has another build than the video's: what it makes would not fit."""


class ElsewhereError(ForeignEncoderError):
    """Another worker has what this one lacks: the job waits for it."""


class UnavailableError(TritonTubeError):
    """A backing service or a storage node did not answer in time."""


class AmbiguousError(UnavailableError):
    """A write whose outcome is unknown: it may have been applied."""


class StrangerError(UnavailableError):
    """What answers is not the peer that was meant, or a version of it that does not know the call."""


class OutOfSpaceError(UnavailableError):
    """No room above the reserve: on any storage node, or on this worker's disk."""
