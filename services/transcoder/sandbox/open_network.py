"""Run inside a new network namespace: bring its loopback up, listen there, and send the descriptors out.

`open_network.py SOCKET`, where SOCKET is the descriptor of a Unix socket that leads to the worker. Python's
standard library is all it may use.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_BACKLOG = 64


def main(channel: int) -> None:
    """Listen on this namespace's loopback and hand over the listener and both namespaces."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    fcntl.ioctl(listener, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    listener.bind(("127.0.0.1", 0))
    listener.listen(_BACKLOG)
    namespaces = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("user", "net")]
    with socket.socket(fileno=channel) as out:
        socket.send_fds(out, [b"open"], [listener.fileno(), *namespaces])


if __name__ == "__main__":
    main(int(sys.argv[1]))
