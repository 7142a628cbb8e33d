"""Numbers in words."""

from __future__ import annotations

import pytest

from services.shared.video import Status
from services.web import wording


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (999 << 20, "999 MiB"),
        (1 << 30, "1 GiB"),
        (64 << 30, "64 GiB"),
        (5 << 50, "5120 TiB"),
    ],
)
def test_sizes_have_a_unit_that_fits(size_bytes, text):
    assert wording.size(size_bytes) == text


@pytest.mark.parametrize(
    ("duration_s", "text"), [(0.2, "0:01"), (59.6, "0:59"), (247, "4:07"), (3599, "59:59"), (3723, "1:02:03")]
)
def test_durations_read_like_a_clock(duration_s, text):
    assert wording.duration(duration_s) == text


@pytest.mark.parametrize(
    ("age_s", "text"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (7_200, "2 hours ago"),
        (86_400 * 8, "1 week ago"),
        (86_400 * 800, "2 years ago"),
    ],
)
def test_ages_are_told_roughly(age_s, text):
    assert wording.age(age_s) == text


@pytest.mark.parametrize(
    ("bits_per_s", "text"),
    [
        (370_000, "370 kbit/s"),
        (1_000_000, "1.0 Mbit/s"),
        (4_250_000, "4.2 Mbit/s"),
        (18_400_000, "18 Mbit/s"),
    ],
)
def test_bitrates_keep_two_digits(bits_per_s, text):
    assert wording.bitrate(bits_per_s) == text


def test_every_status_has_words():
    assert set(wording.STATES) == set(Status)
