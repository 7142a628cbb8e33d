"""Keys and key ranges in bytes, as etcd wants them.

Keys are text for us and bytes for etcd. UTF-8 with surrogate escapes maps one to the other without loss, so a
key that someone else stored with odd bytes can be listed, shown and deleted like any other.
"""

from __future__ import annotations

_ALL = b"\x00"  # as a range's end: every key from the start on (etcd's API)


def encode_key(key: str) -> bytes:
    """Return the bytes of a key."""
    return key.encode("utf-8", "surrogateescape")


def decode_key(key: bytes) -> str:
    """Return the text of a key, whatever its bytes."""
    return key.decode("utf-8", "surrogateescape")


def prefix_end(prefix: bytes) -> bytes:
    r"""Return the exclusive end of the range of all keys that begin with `prefix`.

    It is the prefix with its last byte raised by one. 0xff has no successor: it is dropped and the byte
    before it raised, so `z\xff` ends at `{`.
    """
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else _ALL


def prefix_range(prefix: str) -> tuple[bytes, bytes]:
    """Return first key and exclusive end of a prefix range; the empty prefix is the whole store."""
    start = encode_key(prefix)
    return start or _ALL, prefix_end(start)


def after(key: bytes) -> bytes:
    """Return the smallest key greater than `key`: where the next page begins."""
    return key + b"\x00"
