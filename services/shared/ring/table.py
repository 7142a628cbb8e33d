"""The ring table: for each partition the nodes that own it. Immutable, and named by its content.

Encoded for etcd, before compression, as: a line of JSON (format, replicas, node ids in order), then 4096 rows
of `replicas` indexes into that list, one or two bytes each, big-endian. The id is the hash of that text, so
it doesn't depend on the compressor, and two builders that decide alike publish the same table.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from services.shared.ring.placement import PARTITIONS

_FORMAT: Final = 1
_ID_CHARS: Final = 32
_ONE_BYTE_INDEXES: Final = 256
_MAX_ENCODED_BYTES: Final = 1 << 20
"""Longest text that is unpacked: far above any real table, far below what could hurt."""


@dataclass(frozen=True)
class RingTable:
    """4096 rows of node ids, all of the same length, without a repeat in a row."""

    rows: tuple[tuple[str, ...], ...] = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.rows) != PARTITIONS:
            raise ValueError(f"a ring table has {PARTITIONS} rows, not {len(self.rows)}")
        widths = {len(row) for row in self.rows} | {len(set(row)) for row in self.rows}
        if len(widths) != 1 or widths == {0}:
            raise ValueError("the rows of a ring table are equally long and name no node twice")

    @property
    def replicas(self) -> int:
        """Owners per partition."""
        return len(self.rows[0])

    def owners(self, partition: int) -> tuple[str, ...]:
        """The nodes that own a partition."""
        return self.rows[partition]

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Every node that owns something, in order of id."""
        return tuple(sorted({node for row in self.rows for node in row}))

    @cached_property
    def counts(self) -> Counter[str]:
        """How many partitions each node owns."""
        return Counter(node for row in self.rows for node in row)

    @cached_property
    def id(self) -> str:
        """The hash of the content, 32 hexadecimal digits."""
        return hashlib.sha256(self._text()).hexdigest()[:_ID_CHARS]

    def changed(self, other: RingTable) -> list[int]:
        """The partitions whose owners differ between the two tables, whatever their order."""
        pairs = enumerate(zip(self.rows, other.rows, strict=True))
        return [partition for partition, (mine, theirs) in pairs if set(mine) != set(theirs)]

    def encode(self) -> bytes:
        """The table for etcd: about 10 KB at 100 nodes and 3 copies."""
        return zlib.compress(self._text(), level=9)

    @classmethod
    def decode(cls, data: bytes) -> RingTable:
        """Read what `encode` wrote.

        Raises:
            ValueError: the bytes are not a ring table.
        """
        return _parse(_unpack(data))

    def _text(self) -> bytes:
        header = {"format": _FORMAT, "replicas": self.replicas, "nodes": self.nodes}
        index = {node: number for number, node in enumerate(self.nodes)}
        body = _pack((index[node] for row in self.rows for node in row), _index_bytes(self.nodes))
        return json.dumps(header, separators=(",", ":")).encode() + b"\n" + body


def _index_bytes(nodes: Sequence[str]) -> int:
    return 1 if len(nodes) <= _ONE_BYTE_INDEXES else 2


def _pack(indexes: Iterable[int], width: int) -> bytes:
    return b"".join(index.to_bytes(width, "big") for index in indexes)


def _unpack(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, _MAX_ENCODED_BYTES)
    except zlib.error as error:
        raise ValueError(f"not a ring table: {error}") from error
    if not unpacker.eof:
        raise ValueError("not a ring table: cut short, or far too long")
    return text


def _parse(text: bytes) -> RingTable:
    head, _, body = text.partition(b"\n")
    try:
        header = json.loads(head)
        version, replicas, nodes = header["format"], int(header["replicas"]), list(map(str, header["nodes"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not a ring table: {error!r}") from error
    width = _index_bytes(nodes)
    if version != _FORMAT or replicas < 1 or len(body) != PARTITIONS * replicas * width:
        raise ValueError("not a ring table: of another format, or of the wrong size")
    return RingTable(_rows(body, nodes, replicas=replicas, width=width))


def _rows(body: bytes, nodes: Sequence[str], *, replicas: int, width: int) -> tuple[tuple[str, ...], ...]:
    indexes = [int.from_bytes(body[at : at + width], "big") for at in range(0, len(body), width)]
    if indexes and max(indexes) >= len(nodes):
        raise ValueError("not a ring table: it names a node that it doesn't list")
    names = [nodes[index] for index in indexes]
    return tuple(tuple(names[at : at + replicas]) for at in range(0, len(names), replicas))
