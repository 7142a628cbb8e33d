"""A network in which nothing is but one listener of ours: a namespace that ffmpeg is put into.

A socket belongs to the network in which it was made, wherever the process that holds it lives. So the
worker accepts connections from inside, while inside there is no way to anything else: not to the internet,
not to the machine's own services, not to the worker's neighbours.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.transcoder.sandbox import open_network

_PATIENCE_S: Final = 30.0
_MESSAGE_BYTES: Final = 16
_OWN_USERS: Final = Path("/proc/self/ns/user")


@dataclass(frozen=True, kw_only=True)
class PrivateNetwork:
    """A network namespace with a listener on its loopback."""

    listener: socket.socket
    namespaces: tuple[int, ...]
    """Descriptors of what has to be entered, in this order."""


@contextmanager
def private_network() -> Iterator[PrivateNetwork]:
    """Make a network of its own, which lasts as long as the context.

    Without root's rights it takes a user namespace, in which this user may make networks; many containers
    forbid that.

    Raises:
        OSError: this machine does not allow it.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        _make(theirs)
        theirs.close()
        _, descriptors, _, _ = socket.recv_fds(ours, _MESSAGE_BYTES, 3)
    listener, users, network = descriptors
    try:
        with socket.socket(fileno=listener) as opened:
            entered = (network,) if _is_ours(users) else (users, network)
            yield PrivateNetwork(listener=opened, namespaces=entered)
    finally:
        os.close(users)
        os.close(network)


def _make(theirs: socket.socket) -> None:
    """Have a process make the network and send the descriptors; only a process with one thread can."""
    script = [sys.executable, "-I", "-S", str(Path(open_network.__file__)), str(theirs.fileno())]
    command = ["unshare", "--map-root-user", "--net", "--", *script]
    made = subprocess.run(
        command,
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    if made.returncode:
        raise OSError((made.stderr.strip().splitlines() or ["unshare failed"])[-1])


def _is_ours(users: int) -> bool:
    return os.fstat(users).st_ino == _OWN_USERS.stat().st_ino
