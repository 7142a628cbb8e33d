"""The form of one stored object on disk: raw data first, everything about it behind.

::

    data          size bytes, as they came, so that a range is read by its offset
    metadata      JSON: the key and when it was stored
    block sums    crc32c of each MiB of data, 4 bytes each, big-endian
    footer        lengths, SHA-256 of the data, crc32c of the trailer so far, magic

The file ends with the magic, so one that was cut short anywhere is recognised. One fsync makes all of it
durable. A block is checked against its sum before any byte of it is handed out.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

from crc32c import crc32c
from pydantic import ValidationError

from services.shared.errors import CorruptFileError
from services.shared.record import Record
from services.storage.disk.damage import is_damage

BLOCK_BYTES: Final = 1 << 20
"""The unit of verification: what a read of a single byte costs."""

MAGIC: Final = b"TTobj\r\n1"
_SUM: Final = struct.Struct(">I")
_LENGTHS: Final = struct.Struct(">IQ32s")
_SEAL: Final = struct.Struct(f">I{len(MAGIC)}s")
FOOTER_BYTES: Final = _LENGTHS.size + _SEAL.size


Data: TypeAlias = bytes | bytearray
"""Content on its way to the disk. Nobody changes it any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """The durable facts of a stored object."""

    key: str
    size_bytes: int
    sha256: bytes
    stored_at_ms: int


class _Metadata(Record):
    key: str
    stored_at_ms: int


class ObjectWriter:
    """Writes one object into an open, empty file. The caller owns the file, and its fsync."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._sha256 = hashlib.sha256()
        self._sums: list[int] = []
        self.size_bytes = 0

    @property
    def sha256(self) -> bytes:
        """The digest of the data so far."""
        return self._sha256.digest()

    def append(self, data: Data) -> None:
        """Write more data.

        Raises:
            OSError: as the file system reports it.
        """
        _write_all(self._descriptor, data)
        self._sha256.update(data)
        self._add_to_sums(data)

    def finish(self, *, key: str, stored_at_ms: int) -> ObjectInfo:
        """Write the trailer. Nothing may be appended afterwards."""
        metadata = _Metadata(key=key, stored_at_ms=stored_at_ms).encode()
        sums = struct.pack(f">{len(self._sums)}I", *self._sums)
        trailer = metadata + sums + _LENGTHS.pack(len(metadata), self.size_bytes, self.sha256)
        _write_all(self._descriptor, trailer + _SEAL.pack(crc32c(trailer), MAGIC))
        return ObjectInfo(key=key, size_bytes=self.size_bytes, sha256=self.sha256, stored_at_ms=stored_at_ms)

    def _add_to_sums(self, data: Data) -> None:
        rest = memoryview(data)
        while rest:
            filled = self.size_bytes % BLOCK_BYTES
            if not filled:
                self._sums.append(0)
            piece, rest = rest[: BLOCK_BYTES - filled], rest[BLOCK_BYTES - filled :]
            self._sums[-1] = crc32c(piece, self._sums[-1])
            self.size_bytes += len(piece)


class ObjectFile:
    """A stored object, open for verified reading."""

    def __init__(self, descriptor: int, info: ObjectInfo, sums: bytes) -> None:
        self._descriptor = descriptor
        self._sums = sums
        self.info = info
        self.closed = False

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an object and check its trailer.

        Raises:
            FileNotFoundError: there is none.
            CorruptFileError: the trailer is missing, cut, damaged or unreadable.
        """
        with _readable():
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return cls(descriptor, *_read_trailer(descriptor))
        except BaseException:
            os.close(descriptor)
            raise

    def read(self, offset: int, limit: int) -> bytes:
        """Return verified data from `offset`: at most `limit` bytes, and never past the end of a block.

        Raises:
            CorruptFileError: the block is damaged or cannot be read.
        """
        number, start = divmod(offset, BLOCK_BYTES)
        wanted = min(BLOCK_BYTES, self.info.size_bytes - number * BLOCK_BYTES)
        block = _read_exactly(self._descriptor, wanted, number * BLOCK_BYTES)
        if crc32c(block) != _SUM.unpack_from(self._sums, _SUM.size * number)[0]:
            raise CorruptFileError(f"Block {number} of {self.info.key} does not match its checksum.")
        return block if not start and limit >= wanted else block[start : start + limit]

    def uncache(self) -> None:
        """Have the next reads come from the disk: they shall tell what it holds, not what memory does."""
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def is_same_file(self, other: ObjectFile) -> bool:
        """Whether both are the one file, not two with the same content."""
        return os.path.samestat(os.fstat(self._descriptor), os.fstat(other._descriptor))

    def close(self) -> None:
        """Close the file. Once."""
        self.closed = True
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read_trailer(descriptor: int) -> tuple[ObjectInfo, bytes]:
    file_bytes = os.fstat(descriptor).st_size
    if file_bytes < FOOTER_BYTES:
        raise CorruptFileError("The object file is shorter than its footer.")
    footer = _read_exactly(descriptor, FOOTER_BYTES, file_bytes - FOOTER_BYTES)
    metadata_bytes, size_bytes, sha256 = _LENGTHS.unpack_from(footer)
    _, magic = _SEAL.unpack_from(footer, _LENGTHS.size)
    blocks = -(-size_bytes // BLOCK_BYTES)
    if magic != MAGIC or size_bytes + metadata_bytes + _SUM.size * blocks + FOOTER_BYTES != file_bytes:
        raise CorruptFileError("The object file does not end in a whole footer.")
    trailer = _read_exactly(descriptor, file_bytes - size_bytes, size_bytes)
    metadata = _checked_metadata(trailer, metadata_bytes)
    info = ObjectInfo(
        key=metadata.key, size_bytes=size_bytes, sha256=sha256, stored_at_ms=metadata.stored_at_ms
    )
    return info, trailer[metadata_bytes : metadata_bytes + _SUM.size * blocks]


def _checked_metadata(trailer: bytes, metadata_bytes: int) -> _Metadata:
    expected, _ = _SEAL.unpack_from(trailer, len(trailer) - _SEAL.size)
    if crc32c(trailer[: -_SEAL.size]) != expected:
        raise CorruptFileError("The object file's trailer does not match its checksum.")
    try:
        return _Metadata.model_validate_json(trailer[:metadata_bytes])
    except ValidationError as error:
        raise CorruptFileError("The object file's metadata cannot be read.") from error


def _write_all(descriptor: int, data: Data) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_exactly(descriptor: int, size_bytes: int, offset: int) -> bytes:
    with _readable():
        data = os.pread(descriptor, size_bytes, offset)
    if len(data) != size_bytes:
        raise CorruptFileError("An object file is shorter than it says.")
    return data


@contextmanager
def _readable() -> Iterator[None]:
    """What the file system itself can't read is damaged; other failures say nothing about the file."""
    try:
        yield
    except OSError as error:
        if not is_damage(error):
            raise
        raise CorruptFileError("The disk cannot read part of an object file.") from error
