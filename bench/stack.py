"""The real thing: a whole stack on this machine, and the HTTP calls that the benchmarks make to it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any, Final
from urllib.parse import urlsplit

from services.local.endpoints import Endpoints, file_in

_TRITONTUBE: Final = str(Path(sys.executable).with_name("tritontube"))
_TIMEOUT_S: Final = 600.0
_POLL_S: Final = 0.05
_BOUNDARY: Final = "bench-3f7c1d"

Json = dict[str, Any]


@contextmanager
def stack(folder: Path, *options: str, **settings: str) -> Iterator[Endpoints]:
    """A stack on ports of its own; afterwards nothing of it is left, its data included.

    Args:
        folder: for its data; made, and removed at the end.
        options: of `tritontube up`.
        settings: environment variables for all its services.
    """
    where = ("--data", str(folder))
    command = (_TRITONTUBE, "up", *where, "--port", "0", "--background", *options)
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **settings})
        yield Endpoints.model_validate_json(file_in(folder).read_bytes())
    finally:  # also when we are interrupted while it starts
        subprocess.run((_TRITONTUBE, "down", *where), check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


class Client:
    """A client of a web process that costs the machine next to nothing."""

    def __init__(self, web: str) -> None:
        self.web = web
        self.sent_at = 0.0
        """When the last byte of the latest upload was sent, by `perf_counter`."""
        self._address = urlsplit(web).netloc

    def upload(self, file: Path) -> Json:
        """Upload a file as a browser's form would; the video as answered."""
        head, tail = _form_around(file)
        connection = self._connect()
        connection.putrequest("POST", "/upload")
        connection.putheader("Accept", "application/json")
        connection.putheader("Content-Type", f"multipart/form-data; boundary={_BOUNDARY}")
        connection.putheader("Content-Length", str(len(head) + file.stat().st_size + len(tail)))
        connection.endheaders(head)
        with file.open("rb") as source:
            connection.sock.sendfile(source)
        connection.send(tail)
        self.sent_at = perf_counter()
        return _answer(connection, wanted=http.client.CREATED)

    def video(self, video_id: str) -> Json:
        """The video as the API shows it."""
        connection = self._connect()
        connection.request("GET", f"/api/videos/{video_id}")
        return _answer(connection, wanted=http.client.OK)

    def delete(self, video_id: str) -> None:
        """Delete the video."""
        connection = self._connect()
        connection.request("DELETE", f"/api/videos/{video_id}")
        _answer(connection, wanted=http.client.NO_CONTENT)

    def wait(self, video_id: str, *statuses: str, poll_s: float = _POLL_S) -> Json:
        """Wait until the video has one of these statuses, looking every `poll_s` seconds.

        Raises:
            RuntimeError: it has failed instead, or takes too long.
        """
        deadline = monotonic() + _TIMEOUT_S
        while (video := self.video(video_id))["status"] not in statuses:
            if video["status"] == "failed" or monotonic() > deadline:
                raise RuntimeError(f"The video is not {' or '.join(statuses)}: {video}")
            sleep(poll_s)
        return video

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address, timeout=_TIMEOUT_S)


def _form_around(file: Path) -> tuple[bytes, bytes]:
    """What stands before and behind the file in a form with the field `file`."""
    head = (
        f"--{_BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode(), f"\r\n--{_BOUNDARY}--\r\n".encode()


def _answer(connection: http.client.HTTPConnection, *, wanted: int) -> Json:
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != wanted:
        raise RuntimeError(f"The server answered {answer.status}: {body.decode(errors='replace')}")
    return dict(json.loads(body or b"{}"))
