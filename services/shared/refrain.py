"""Complaints of work that is tried again all the time: in the log at once, but not with every try."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

_EVERY_S: Final = 60.0


class Refrain:
    """Says what is wrong when it begins and when it changes, and once a minute while it lasts."""

    def __init__(
        self,
        log: logging.Logger,
        *,
        level: int = logging.WARNING,
        every_s: float = _EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` tells seconds from any start."""
        self._log = log
        self._level = level
        self._every_s = every_s
        self._clock = clock
        self._said = ""
        self._said_at = 0.0

    def say(self, complaint: str) -> None:
        """Complain, unless the same was said less than a minute ago."""
        now = self._clock()
        if complaint == self._said and now - self._said_at < self._every_s:
            return
        self._said, self._said_at = complaint, now
        self._log.log(self._level, "%s", complaint)

    def end(self, news: str) -> None:
        """Nothing is wrong any more: say so if anything was, and the next complaint at once."""
        if self._said:
            self._said = ""
            self._log.info("%s", news)
