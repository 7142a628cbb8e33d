"""A file's facts as nodes tell them each other."""

from __future__ import annotations

from services.shared.stubs.tritontube.storage.v1 import storage_pb2
from services.storage.disk.objectfile import ObjectInfo


def to_wire(info: ObjectInfo) -> storage_pb2.FileInfo:
    """The message for an object's facts."""
    return storage_pb2.FileInfo(
        key=info.key, size_bytes=info.size_bytes, sha256=info.sha256, stored_at_ms=info.stored_at_ms
    )


def from_wire(message: storage_pb2.FileInfo) -> ObjectInfo:
    """An object's facts, as a message tells them."""
    return ObjectInfo(
        key=message.key,
        size_bytes=message.size_bytes,
        sha256=message.sha256,
        stored_at_ms=message.stored_at_ms,
    )
