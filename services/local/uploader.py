"""Uploading from the command line: streams a file to a server and follows what becomes of it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import httpx
from pydantic import BaseModel, ConfigDict

from services.shared.errors import InvalidRequestError, RequestError, UnavailableError

_CONNECT_TIMEOUT_S: Final = 10.0
# An answer to an upload comes when all of it is stored: the server may be busy with a slow disk by then.
_ANSWER_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.5
_PATIENCE_S: Final = 60.0
_OK: Final = range(200, 300)


class Links(BaseModel):
    """Where a video is found, relative to the server."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    self: str = ""
    watch: str = ""


class UploadedVideo(BaseModel):
    """A video as the server describes it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    title: str
    status: str
    reason: str | None = None
    progress: float = 0.0
    links: Links = Links()

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in {"ready", "failed", "deleted"}


class Uploader:
    """A client of one server. Use as a context manager."""

    def __init__(self, server: str) -> None:
        self.server = server.rstrip("/")
        self._http = httpx.Client(
            base_url=self.server,
            timeout=httpx.Timeout(_ANSWER_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
            headers={"Accept": "application/json"},
        )

    def __enter__(self) -> Self:
        """Open; connections are made when they are needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def upload(self, file: Path, *, title: str | None, sent: Callable[[int], None]) -> UploadedVideo:
        """Send one file; `sent` is called with the number of bytes read from it so far.

        Raises:
            InvalidRequestError: the file cannot be read.
            RequestError: the server refused it; the message is the server's.
            UnavailableError: the server does not answer, or says that it cannot now.
        """
        with _open(file) as source:
            answer = self._request(
                "POST",
                "/upload",
                data={"title": title} if title else None,
                files={"file": (file.name, _Watched(source, sent), "application/octet-stream")},
            )
        return UploadedVideo.model_validate_json(answer.content)

    def follow(self, video: UploadedVideo) -> Iterator[UploadedVideo]:
        """The video's news, from now until it is finished.

        A server that is away for less than a minute (restarting, say) is waited for.

        Raises:
            UnavailableError: it was away for longer.
            RequestError: the video is gone.
        """
        heard_at = time.monotonic()
        while not video.finished:
            time.sleep(_POLL_S)
            try:
                answer = self._request("GET", f"/api/videos/{video.id}")
            except UnavailableError:
                if time.monotonic() - heard_at > _PATIENCE_S:
                    raise
                continue
            heard_at = time.monotonic()
            video = UploadedVideo.model_validate_json(answer.content)
            yield video

    def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **content)
        except httpx.InvalidURL as error:
            raise InvalidRequestError(f"{self.server} is not an address: {error}") from error
        except httpx.UnsupportedProtocol as error:
            raise InvalidRequestError(f"{self.server}: begin it with http:// or https://.") from error
        except httpx.TransportError as error:
            raise UnavailableError(
                f"No answer from {self.server} ({error or type(error).__name__}). Is it running? "
                "`tritontube up` starts a server, --server names another."
            ) from error
        _check(answer)
        return answer


class _Watched(io.RawIOBase):
    """A file that tells how far it has been read."""

    def __init__(self, source: io.BufferedReader, sent: Callable[[int], None]) -> None:
        self._source = source
        self._sent = sent

    def fileno(self) -> int:
        """Lets the client find out the size, so that the server knows it from the start."""
        return self._source.fileno()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._source.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._sent(self._source.tell())
        return data


def _open(file: Path) -> io.BufferedReader:
    try:
        return file.open("rb")
    except OSError as error:
        raise InvalidRequestError(f"Cannot read {file}: {error.strerror}.") from error


def _check(answer: httpx.Response) -> None:
    if answer.status_code in _OK:
        return
    message = _problem(answer)
    if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise UnavailableError(message)
    raise RequestError(message)


def _problem(answer: httpx.Response) -> str:
    """The sentence in a problem document (RFC 9457), or the status line of any other answer."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    if isinstance(document, dict) and (said := document.get("detail") or document.get("title")):
        return str(said)
    return f"The server answered {answer.status_code} {answer.reason_phrase}."
