"""Who may send which file, so that its bytes come once although several nodes have it to offer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

PROMISE_S: Final = 60.0
"""How long a file is kept for the node that was told to send it."""

_MAX_PROMISES: Final = 10_000
_MAX_FILES: Final = 1_000
_MAX_BYTES: Final = 256 << 20
"""What is promised to one node at a time: more would keep others from sending meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Promise:
    node: str
    size_bytes: int
    until: float


class Promises:
    """The files that this node has asked others for, and those that are arriving, whoever sends them.

    A promise ends when its file has come or failed to, when its time is over, or when its node is gone. The
    event loop's alone.
    """

    def __init__(
        self,
        *,
        is_gone: Callable[[str], bool] = lambda _: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`is_gone` tells of a node whether it is away."""
        self._is_gone = is_gone
        self._clock = clock
        self._promises: dict[str, _Promise] = {}  # in the order in which they end
        self._files: Counter[str] = Counter()  # by node, as the bytes are
        self._bytes: Counter[str] = Counter()
        self._arriving: Counter[str] = Counter()

    def promised_bytes(self, *, but: str) -> int:
        """What all promised files will take, except those that one node is to send."""
        self._forget_old()
        return self._bytes.total() - self._bytes[but]

    def ask(self, key: str, *, size_bytes: int, node: str) -> bool:
        """Whether `node` may send the file now; then it is kept for it for a while."""
        self._forget_old()
        held = self._promises.get(key)
        if held and held.node != node and self._is_gone(held.node):
            self.withdraw(key)
            held = None
        if key in self._arriving or (held and held.node != node):
            return False
        if not held and not self._has_room(node, size_bytes):
            return False
        self.withdraw(key)
        self._promises[key] = _Promise(node=node, size_bytes=size_bytes, until=self._clock() + PROMISE_S)
        self._files[node] += 1
        self._bytes[node] += size_bytes
        return True

    @contextmanager
    def arriving(self, key: str) -> Iterator[None]:
        """Around the arrival of a file: nobody else is asked for it. Whatever comes of it ends a promise."""
        self._arriving[key] += 1
        try:
            yield
        finally:
            self.withdraw(key)
            self._arriving[key] -= 1
            if not self._arriving[key]:
                del self._arriving[key]

    def withdraw(self, key: str) -> None:
        """End the promise of a file, if there is one."""
        promise = self._promises.pop(key, None)
        if promise is None:
            return
        self._files[promise.node] -= 1
        self._bytes[promise.node] -= promise.size_bytes
        if not self._files[promise.node]:
            del self._files[promise.node], self._bytes[promise.node]

    def _has_room(self, node: str, size_bytes: int) -> bool:
        if len(self._promises) >= _MAX_PROMISES:
            return False
        files = self._files[node]
        return not files or (files < _MAX_FILES and self._bytes[node] + size_bytes <= _MAX_BYTES)

    def _forget_old(self) -> None:
        now = self._clock()
        while self._promises:
            key = next(iter(self._promises))
            if self._promises[key].until > now:
                return
            self.withdraw(key)
