"""What the disk's failures mean, decided in one place."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.shared.errors import OutOfSpaceError, UnavailableError

log = logging.getLogger(__name__)

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_GONE: Final = frozenset({errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN})
"""Of the whole file system: mounted for reading only, after an error perhaps, or without its device."""
_PASSING: Final = _NO_SPACE | {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class DiskGuard:
    """Turns the operating system's errors into ours, and ends writing when the disk can't be trusted.

    After a failed sync nobody knows what the disk holds (the kernel drops the pages it could not write, and
    the next sync reports success), so from then on the node only reads, until someone restarts it.
    """

    def __init__(self) -> None:
        self.read_only_reason = ""

    def check_writable(self) -> None:
        """Refuse once writing has ended.

        Raises:
            UnavailableError: with the reason.
        """
        if self.read_only_reason:
            raise UnavailableError(self.read_only_reason)

    def stop_writing(self, reason: str) -> None:
        """Take no more writes until the node is restarted. The first reason stays."""
        if not self.read_only_reason:
            self.read_only_reason = reason
            log.critical("read-only from now on: %s", reason)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Around changes whose failure leaves nothing in doubt.

        Raises:
            OutOfSpaceError: the disk is full.
            UnavailableError: it failed otherwise; where it can take no change at all, writing ends.
        """
        try:
            yield
        except OSError as error:
            raise self._refused(error, for_good=error.errno in _GONE) from error

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Around what every incoming object needs: a disk that fails there would fail them all.

        Raises:
            OutOfSpaceError: the disk is full.
            UnavailableError: it failed otherwise, and this node takes no more writes.
        """
        try:
            yield
        except OSError as error:
            raise self._refused(error, for_good=error.errno not in _PASSING) from error

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """Around what makes changes durable.

        Raises:
            UnavailableError: it failed, and this node takes no more writes.
        """
        try:
            yield
        except OSError as error:
            self.stop_writing(f"The disk could not make a change durable: {error.strerror}.")
            raise UnavailableError(self.read_only_reason) from error

    def _refused(self, error: OSError, *, for_good: bool) -> UnavailableError:
        """Our error for the system's."""
        if for_good:
            self.stop_writing(
                f"The node's disk takes no writes ({error.strerror}). See to that, then restart the node."
            )
            return UnavailableError(self.read_only_reason)
        kind = OutOfSpaceError if error.errno in _NO_SPACE else UnavailableError
        return kind(f"The node's disk refused a write: {error.strerror}.")
