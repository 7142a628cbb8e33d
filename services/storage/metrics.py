"""What a node tells Prometheus."""

from __future__ import annotations

from typing import Final

from services.shared.telemetry import Counter, Gauge
from services.storage.datafolder import DataFolder

RECEIVED: Final = Counter("tritontube_storage_received_bytes_total", "Bytes of files that were stored.")
SENT: Final = Counter("tritontube_storage_sent_bytes_total", "Bytes of files that were read.")
DAMAGED: Final = Counter("tritontube_storage_damaged_total", "Copies found damaged while they were read.")

_FILES: Final = Gauge("tritontube_storage_files", "Files that the node holds.")
_STORED: Final = Gauge("tritontube_storage_stored_bytes", "Bytes of files that the node holds.")
_FREE: Final = Gauge("tritontube_storage_free_bytes", "Room above the disk's reserve.")
_WRITABLE: Final = Gauge("tritontube_storage_writable", "1 while the node takes writes.")


def observe(folder: DataFolder) -> None:
    """Let the gauges show this node's state whenever they are read."""
    store = folder.store
    _FILES.set_function(lambda: store.index.totals.files)
    _STORED.set_function(lambda: store.index.totals.size_bytes)
    _FREE.set_function(folder.space.free_bytes)
    _WRITABLE.set_function(lambda: not folder.why_read_only)
