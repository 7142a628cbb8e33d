"""A file in the ring, as it is known outside the storage nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from services.shared.stubs.tritontube.storage.v1 import storage_pb2


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """The facts of a stored file; they never change."""

    key: str
    size_bytes: int
    sha256: str
    """Of the whole content, 64 hexadecimal digits."""

    @classmethod
    def from_wire(cls, message: storage_pb2.FileInfo) -> Self:
        """Convert a node's message."""
        return cls(key=message.key, size_bytes=message.size_bytes, sha256=message.sha256.hex())
