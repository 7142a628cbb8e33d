"""Free ports for servers that tests start."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from typing import Final

_LOWEST: Final = 12_000
_BLOCK: Final = 500
_BLOCKS: Final = 16
"""Below the range that the kernel takes ports for outgoing connections from, so that a server that is killed
and started again finds its port free; and below the one that stacks choose theirs from."""

_guards: Final[list[socket.socket]] = []


def free_port() -> int:
    """Return a loopback port that is free now, and that no test run beside us is given.

    It takes a server seconds to listen on it. Chosen at random, one of the hundreds of ports of a run would
    now and then be somebody else's by then.
    """
    return next(port for port in _ours() if _is_free(port))


@cache
def _ours() -> Iterator[int]:
    """The ports of this process, again and again."""
    first = _guarded_block()
    return cycle(range(first + 1, first + _BLOCK))


def _guarded_block() -> int:
    """The first port of a block. It is held for as long as this process lives: the others are ours."""
    for number in range(_BLOCKS):
        guard = socket.socket()
        try:
            guard.bind(("127.0.0.1", _LOWEST + number * _BLOCK))
            guard.listen()
        except OSError:
            guard.close()
            continue
        _guards.append(guard)
        return _LOWEST + number * _BLOCK
    raise RuntimeError(f"{_BLOCKS} test runs at the same time are as many as there are ports for")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do; a port in TIME_WAIT is free to them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
