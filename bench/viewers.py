"""Viewers at a steady pace, whatever the answers: what they got, and how long they waited for it."""

from __future__ import annotations

import hashlib
import http.client
import random
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Final

SLOW_S: Final = 1.0
PER_S: Final = 50
_TIMEOUT_S: Final = 60.0
_MOST_AT_ONCE: Final = 200


@dataclass(frozen=True, kw_only=True)
class Read:
    """One request. Times are seconds of the monotonic clock."""

    due_at: float
    """When it was to begin. What it had to wait for a free viewer is part of what it took."""
    took_s: float
    problem: str
    """Empty, or what came instead of the file."""


class Viewers:
    """Reads random files over HTTP, each over a connection of its own, and checks every byte."""

    def __init__(self, address: str, digests: Mapping[str, str]) -> None:
        self._address = address
        self._paths = list(digests)
        self._digests = digests
        self._reads: list[Read] = []
        self._stop = threading.Event()

    @classmethod
    @contextmanager
    def watching(cls, address: str, digests: Mapping[str, str]) -> Iterator[Viewers]:
        """Viewers while the context lasts; at its end all of their reads are over.

        Args:
            address: of the web server, `host:port`.
            digests: SHA-256 of the files, by path.
        """
        viewers = cls(address, digests)
        pacing = threading.Thread(target=viewers._pace)
        pacing.start()
        try:
            yield viewers
        finally:
            viewers._stop.set()
            pacing.join()

    def between(self, began: float, ended: float) -> list[Read]:
        """The reads that were due in a span of time; complete once the viewers have gone."""
        return [read for read in self._reads if began <= read.due_at < ended]

    def _pace(self) -> None:
        generator = random.Random()
        with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
            due_at = monotonic()
            while not self._stop.is_set():
                pool.submit(self._read, generator.choice(self._paths), due_at)
                due_at += 1 / PER_S
                sleep(max(0.0, due_at - monotonic()))

    def _read(self, path: str, due_at: float) -> None:
        try:
            problem = self._fetch(path)
        except (OSError, http.client.HTTPException) as error:
            problem = repr(error)
        self._reads.append(Read(due_at=due_at, took_s=monotonic() - due_at, problem=problem))

    def _fetch(self, path: str) -> str:
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            return f"{answer.status}: {body[:200]!r}"
        return "" if hashlib.sha256(body).hexdigest() == self._digests[path] else "other bytes"
