"""How long attempts may take."""

import pytest

from services.shared.etcd.calls import Timing


@pytest.mark.parametrize(
    ("number", "expected_s"), [(1, 1.0), (3, 1.0), (4, 2.0), (6, 2.0), (7, 4.0), (10, 8.0), (10_000, 20.0)]
)
def test_attempts_get_longer_with_every_round_over_the_endpoints(number, expected_s):
    assert Timing().attempt(number, endpoints=3, left_s=20.0) == expected_s


@pytest.mark.parametrize(("left_s", "expected_s"), [(0.3, 0.3), (0.0, 0.0), (-1.0, 0.0)])
def test_no_attempt_outlasts_the_deadline(left_s, expected_s):
    assert Timing().attempt(1, endpoints=1, left_s=left_s) == expected_s
