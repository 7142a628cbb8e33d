"""What a node holds, partition by partition, in a few bytes each: equal ones need not be compared further."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from services.shared.ring.placement import PARTITIONS
from services.storage.disk.index import Index
from services.storage.disk.objectfile import ObjectInfo

DIGEST_BYTES: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Of the files of one partition."""

    files: int
    size_bytes: int
    digest: bytes
    """Of the set of (key, SHA-256)."""


class Summaries:
    """Summaries of an index; each is made anew when its partition has changed. Any thread may ask."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._known: dict[int, tuple[int, Summary]] = {}

    def of(self, partition: int) -> Summary:
        """The summary of one partition."""
        # The version is read before the rows: a change in between leaves a summary that counts as outdated.
        version = self._index.version(partition)
        known = self._known.get(partition)
        if known and known[0] == version:
            return known[1]
        summary = _summary(self._rows(partition))
        self._known[partition] = (version, summary)
        return summary

    def held(self, partitions: Iterable[int] = range(PARTITIONS)) -> dict[int, Summary]:
        """The summaries of those partitions of which anything is held."""
        files = self._index.files()
        found = ((partition, self.of(partition)) for partition in partitions if partition in files)
        return {partition: summary for partition, summary in found if summary.files}

    def _rows(self, partition: int) -> Iterator[ObjectInfo]:
        after = ""
        while page := self._index.of_partition(partition, after=after):
            yield from page
            after = page[-1].key


def _summary(rows: Iterable[ObjectInfo]) -> Summary:
    """Summarize files that come in the order of their keys, so that equal sets give equal digests."""
    files, size_bytes, digest = 0, 0, hashlib.blake2b(digest_size=DIGEST_BYTES)
    for info in rows:
        files, size_bytes = files + 1, size_bytes + info.size_bytes
        digest.update(b"%b\0%b" % (info.key.encode(), info.sha256))
    return Summary(files=files, size_bytes=size_bytes, digest=digest.digest())
