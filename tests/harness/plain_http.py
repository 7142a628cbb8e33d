"""What clients of servers without TLS are made with."""

from __future__ import annotations

import ssl
from typing import Final

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For `verify`. It trusts nobody, and nobody is asked to trust. Without it each client reads all root
certificates of the world, which takes 25 ms of processor time: as often as tests look for something to come,
that is minutes."""
