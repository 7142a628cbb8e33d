"""How long a child that died waits before it is started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_S: Final = 0.25
LONGEST_S: Final = 10.0
STEADY_AFTER_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Doubling pauses; a child that ran steadily for `STEADY_AFTER_S` begins again with the shortest."""

    failures: int = 0
    """Deaths in a row without a steady run in between."""

    def after_death(self, *, steady_s: float) -> Backoff:
        """The state after a death; `steady_s` is how long the child had been ready."""
        return Backoff(failures=1 if steady_s >= STEADY_AFTER_S else self.failures + 1)

    @property
    def pause_s(self) -> float:
        """The pause before the next start."""
        if self.failures == 0:
            return 0.0
        return float(min(LONGEST_S, FIRST_S * 2 ** min(self.failures - 1, 16)))
