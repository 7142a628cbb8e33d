"""Addresses, `host:port`, and sockets that listen at them."""

from __future__ import annotations

import socket
from typing import Final

from services.shared.errors import ConflictError

BACKLOG: Final = 1024


def split_address(address: str) -> tuple[str, int]:
    """Host, without the brackets of IPv6, and port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def listen(address: str) -> socket.socket:
    """A listening socket, ours alone; port 0: any free one.

    Servers that open it themselves do so with SO_REUSEPORT at times: a second one on the same port would go
    unnoticed, and take half of the requests.

    Raises:
        ConflictError: the address is taken, not ours, or not allowed.
    """
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or error
        raise ConflictError(
            f"Cannot listen on {address}: {reason}. Choose another address with --listen."
        ) from error
