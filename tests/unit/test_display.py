"""Times as people read them."""

from __future__ import annotations

import pytest

from services.local.display import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m 0s"), (3_725, "1h 2m"), (90_061, "1d 1h"), (-3, "0s")],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds: float, text: str):
    assert duration(seconds) == text
