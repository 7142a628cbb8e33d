"""Going on for as long as it takes, for work that nobody waits for."""

from __future__ import annotations

import logging
from typing import Final

from tenacity import before_sleep_log, retry, retry_if_exception_type, wait_random_exponential

from services.shared.errors import NotFoundError, UnavailableError

_MAX_PAUSE_S: Final = 2.0

patiently = retry(
    # Not found: a lease that ended between being granted and being used.
    retry=retry_if_exception_type((UnavailableError, NotFoundError)),
    wait=wait_random_exponential(multiplier=0.1, max=_MAX_PAUSE_S),
    before_sleep=before_sleep_log(logging.getLogger(__name__), logging.INFO),
)
"""Decorates a coroutine function: repeated, with growing pauses, while what it needs is away."""
