"""What a node tells Prometheus."""

from __future__ import annotations

from typing import Final

from services.shared.telemetry import Counter, Gauge
from services.storage.disk.datafolder import DataFolder

RECEIVED: Final = Counter("tritontube_storage_received_bytes_total", "Bytes of files that were stored.")
SENT: Final = Counter("tritontube_storage_sent_bytes_total", "Bytes of files that were read.")
DAMAGED: Final = Counter("tritontube_storage_damaged_total", "Copies found damaged, or gone from the disk.")
MENDED: Final = Counter("tritontube_storage_mended_total", "Copies fetched anew from other nodes.")
UNMENDED: Final = Counter(
    "tritontube_storage_unmended_total", "Lost copies that could not be fetched in time."
)
SCRUBBED: Final = Counter(
    "tritontube_storage_scrubbed_bytes_total", "Bytes of copies read through for damage."
)
SCRUB_ROUNDS: Final = Counter(
    "tritontube_storage_scrub_rounds_total", "Times that all copies were read through."
)
HANDED_OVER: Final = Counter("tritontube_storage_handed_over_files_total", "Files sent to other nodes.")
HANDED_OVER_BYTES: Final = Counter(
    "tritontube_storage_handed_over_bytes_total", "Bytes of files sent to other nodes."
)
SURPLUS_DROPPED: Final = Counter(
    "tritontube_storage_surplus_dropped_total", "Copies dropped because they belonged to other nodes."
)
HANDOFF_LEFT: Final = Gauge(
    "tritontube_storage_handoff_left_files", "Copies known to be lacking at other nodes."
)

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
