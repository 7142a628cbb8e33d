"""Free ports for servers that tests start."""

from __future__ import annotations

import random
import socket

# Below the range that the kernel takes ports for outgoing connections from: a server that is killed and
# started again finds its port free.
_LOWEST, _HIGHEST = 12_000, 32_000


def free_port() -> int:
    """Return a loopback port that is free now; at random, since other test runs choose beside us."""
    while True:
        port = random.randint(_LOWEST, _HIGHEST)
        with socket.socket() as probe:
            # As servers do; a port in TIME_WAIT is free to them.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
