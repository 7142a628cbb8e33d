"""Damage to single files: what the operating system calls it, and how to get past it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

_DAMAGE: Final = frozenset(
    {
        errno.EIO,
        errno.EBADMSG,  # ext4, XFS: an inode or a folder's block does not match its checksum
        errno.EUCLEAN,  # ext4, XFS, btrfs: it makes no sense
        errno.ENODATA,  # a sector that the device has given up
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ELOOP,
    }
)


def is_damage(error: OSError) -> bool:
    """Whether it says something about the file that was asked for, rather than about the disk or the node."""
    return error.errno in _DAMAGE


@contextmanager
def enduring(path: Path) -> Iterator[None]:
    """Around a change to a file, or a look into a folder: one that is damaged is left as it is, and told.

    Raises:
        OSError: what is no damage.
    """
    try:
        yield
    except OSError as error:
        if not is_damage(error):
            raise
        log.error(  # noqa: TRY400 - a sentence for the operator
            "%s is damaged and stays in its place (%s): check the file system", path, error.strerror
        )
