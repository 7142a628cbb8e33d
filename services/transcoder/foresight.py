"""When an encoder is about to be done, from how fast it has been so far."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from services.transcoder.process import Progress

NOTICE_S: Final = 0.5
"""As often as ffmpeg reports, and longer than the next job takes to get its encoder going."""


class Foresight:
    """Says once, some `NOTICE_S` before the end, that it is near."""

    def __init__(
        self, frames: int, say: Callable[[], None], *, clock: Callable[[], float] = monotonic
    ) -> None:
        """Set up at the time when the encoder starts.

        Args:
            frames: how many it will make.
            say: called when the end is near.
            clock: seconds.
        """
        self._frames = frames
        self._say: Callable[[], None] | None = say
        self._clock = clock
        self._since_s = clock()

    def see(self, progress: Progress) -> None:
        """Look at a report."""
        spent_s = self._clock() - self._since_s
        left = self._frames - progress.frames
        if self._say and progress.frames and spent_s * left <= NOTICE_S * progress.frames:
            self._say()
            self._say = None
