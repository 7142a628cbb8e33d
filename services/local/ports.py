"""Which ports a stack listens on: free ones, remembered in its folder so that a restart uses the same.

New ports come from below the range that the kernel gives to outgoing connections, so that none of those can
sit on a port while its server restarts. Until the server starts, its port is held by a bound socket: two
stacks that start at the same moment never choose the same one.
"""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path
from typing import Final

from services.local.files import damaged, replace_text
from services.shared.errors import ConflictError, InvalidRequestError

LOOPBACK: Final = "127.0.0.1"
_RANGE: Final = range(20_000, 32_000)
_TRIES: Final = 500
_LAST_PORT: Final = 65_535


class PortBook:
    """The ports of one stack by name, kept in a file."""

    def __init__(self, file: Path, *, base: int | None = None) -> None:
        """Read what was chosen before; `base` is where new ports are counted from (None: anywhere free).

        Raises:
            ConflictError: the file is damaged.
        """
        self._file = file
        self._chosen = _read(file)
        self._next = base
        self._held: dict[str, socket.socket] = {}

    def take(self, owner: str, purpose: str) -> int:
        """The port of `owner` for `purpose`: the one it had, or a new one; held until `release`.

        Raises:
            ConflictError: it had one, and another program listens there now.
            InvalidRequestError: no free port was found.
        """
        name = f"{owner} {purpose}"
        port = self._chosen.get(name)
        if port is None:
            port = self._choose(name)
        elif not self._hold(name, port):
            raise ConflictError(
                f"Port {port}, which this stack uses ({name}), is taken by another program. Stop that "
                f"program (`ss -ltnp 'sport = :{port}'` names it), or use another folder with --data."
            )
        self._chosen[name] = port
        return port

    def take_exactly(self, owner: str, port: int, *, option: str) -> int:
        """Hold the port that the user asked for with `option`.

        Raises:
            ConflictError: another program listens there.
        """
        if not self._hold(f"{owner} asked", port):
            raise ConflictError(
                f"Port {port} is taken by another program. Stop that program "
                f"(`ss -ltnp 'sport = :{port}'` names it), or choose another port with {option}."
            )
        return port

    def prefer(self, owner: str, purpose: str, port: int) -> int:
        """Hold `port` if it is free, and as `take` does if it is not. The preferred one is not remembered.

        Raises:
            ConflictError, InvalidRequestError: as `take`.
        """
        return port if self._hold(f"{owner} {purpose}", port) else self.take(owner, purpose)

    def release(self, owner: str) -> None:
        """Let the owner's server bind its ports."""
        for name in [name for name in self._held if name.startswith(f"{owner} ")]:
            self._held.pop(name).close()

    def save(self) -> None:
        """Remember the choice for the next start."""
        replace_text(self._file, json.dumps(self._chosen, indent=2) + "\n")

    def _choose(self, name: str) -> int:
        for _ in range(_TRIES):
            port = self._candidate()
            if port not in self._chosen.values() and self._hold(name, port):
                return port
        raise InvalidRequestError(f"No free port found for {name}; name a free range with --base-port.")

    def _candidate(self) -> int:
        if self._next is None:
            return random.choice(_RANGE)  # noqa: S311 - spreads stacks out, hides nothing
        port, self._next = self._next, self._next + 1
        if port > _LAST_PORT:
            raise InvalidRequestError("--base-port leaves too few ports below 65536; choose a lower one.")
        return port

    def _hold(self, name: str, port: int) -> bool:
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Servers set it too: without it, connections of a stopped server (TIME_WAIT) would count as taken.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((LOOPBACK, port))
            held.listen(1)
        except (OSError, OverflowError):
            held.close()
            return False
        self._held[name] = held
        return True


def _read(file: Path) -> dict[str, int]:
    if not file.exists():
        return {}
    try:
        return {str(name): int(port) for name, port in json.loads(file.read_bytes()).items()}
    except (ValueError, AttributeError):
        raise damaged(file) from None
