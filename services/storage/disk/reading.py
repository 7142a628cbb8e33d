"""A range of a stored object on its way out."""

from __future__ import annotations

from typing import Self

from services.shared.errors import CorruptFileError, InvalidRequestError
from services.storage.disk.objectfile import ObjectFile, ObjectInfo
from services.storage.disk.store import Store


class Reading:
    """Holds one verified block of a range at a time. Its calls block.

    It begins with its first block, and closes its file with its last: for a small file that is one trip to a
    thread altogether.
    """

    def __init__(self, store: Store, file: ObjectFile, *, offset: int, end: int) -> None:
        self._store = store
        self._file = file
        self._offset = offset
        self._end = end
        self.block = b""
        """Empty once everything has been read."""

    @classmethod
    def begin(cls, store: Store, key: str, *, offset: int, length: int) -> Self:
        """Open a key's object and read the first block from `offset` on; `length` 0: to the end.

        Raises:
            InvalidRequestError: the file ends before `offset`.
            NotFoundError: this node has no sound copy.
            CorruptFileError: that block is damaged; the copy is set aside.
        """
        file = store.open(key)
        try:
            reading = cls(store, file, offset=offset, end=_end(file.info, offset, length))
            reading.advance()
        except BaseException:
            file.close()
            raise
        return reading

    @property
    def info(self) -> ObjectInfo:
        """The object's facts."""
        return self._file.info

    @property
    def closed(self) -> bool:
        """Whether the last block has been read."""
        return self._file.closed

    def advance(self) -> None:
        """Go on to the next block.

        Raises:
            CorruptFileError: it is damaged; the copy is set aside.
        """
        self.block = self._verified() if self._offset < self._end else b""
        self._offset += len(self.block)
        if self._offset >= self._end:
            self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _verified(self) -> bytes:
        try:
            return self._file.read(self._offset, self._end - self._offset)
        except CorruptFileError:
            self._store.set_aside(self._file.info.key, self._file)
            raise


def _end(info: ObjectInfo, offset: int, length: int) -> int:
    """Where the range ends in the file."""
    if offset > info.size_bytes:
        raise InvalidRequestError(f"The file ends at byte {info.size_bytes}.")
    return min(info.size_bytes, offset + length) if length else info.size_bytes
