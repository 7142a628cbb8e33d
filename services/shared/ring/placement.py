"""Where a file belongs: its key, the key's hash, and the arc of the ring that the hash lies on.

A file's key is `"<video id>/<file name>"`. The first 8 bytes of the key's SHA-256, as a big-endian integer,
are its place on a ring of 2^64. The ring is cut into 4096 equal arcs, the partitions, a number fixed for the
cluster's life: a partition is the unit in which files are assigned to nodes and moved between them.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from services.shared.errors import InvalidRequestError
from services.shared.video import check_video_id

PARTITIONS: Final = 4096
_HASH_BITS: Final = 64
_PARTITION_SHIFT: Final = _HASH_BITS - (PARTITIONS.bit_length() - 1)
_FILE_NAME: Final = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,120}")


class ObjectKey(NamedTuple):
    """A valid key, taken apart."""

    video_id: str
    file: str

    def __str__(self) -> str:
        return f"{self.video_id}/{self.file}"


def parse_key(key: str) -> ObjectKey:
    """Take a key apart.

    Raises:
        InvalidRequestError: it isn't `"<video id>/<file name>"`, the name being 1 to 120 of `A-Za-z0-9._-`
            without a dot in front.
    """
    video_id, slash, file = key.partition("/")
    if not slash:
        raise InvalidRequestError('A file\'s key is "<video id>/<file name>".')
    return ObjectKey(check_video_id(video_id), check_file_name(file))


def check_file_name(file: str) -> str:
    """Return the file name if it is one that may be stored.

    Raises:
        InvalidRequestError: it is not.
    """
    if not _FILE_NAME.fullmatch(file):
        raise InvalidRequestError(
            "A file name is 1 to 120 letters, digits, dots, dashes and underscores, and starts with no dot."
        )
    return file


def check_key(key: str) -> str:
    """Return the key if it is a valid one.

    Raises:
        InvalidRequestError: it is not.
    """
    parse_key(key)
    return key


def object_key(video_id: str, file: str) -> str:
    """The key of a video's file.

    Raises:
        InvalidRequestError: the id or the name is malformed.
    """
    return f"{check_video_id(video_id)}/{check_file_name(file)}"


def key_hash(key: str) -> int:
    """The key's place on the ring, 0 to 2^64 - 1."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def partition_of(key: str) -> int:
    """The partition that the key lies in, 0 to 4095."""
    return key_hash(key) >> _PARTITION_SHIFT


def rendezvous_score(partition: int, node_id: str) -> int:
    """A node's rank for a partition: the same for everyone, and independent between partitions.

    Ordering nodes by it is rendezvous (highest random weight) hashing: taking one node away
    leaves the order of the others as it was.
    """
    digest = hashlib.blake2b(f"{partition}/{node_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
