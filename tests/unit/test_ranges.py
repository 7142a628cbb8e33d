"""Range headers: which are answered, which ignored, which refused."""

from __future__ import annotations

import pytest

from services.web.ranges import MAX_RANGES, ByteRange, RangeNotSatisfiableError, parse_ranges

SIZE = 1000


def spans(header: str, size_bytes: int = SIZE) -> list[tuple[int, int]]:
    return [(wanted.start, wanted.end) for wanted in parse_ranges(header, size_bytes)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-", [(500, 1000)]),
        ("bytes=-1", [(999, 1000)]),
        ("bytes=-5000", [(0, 1000)]),
        ("bytes=999-5000", [(999, 1000)]),
        ("Bytes=1-2", [(1, 3)]),
        ("bytes=0-1, 5-6 ,-1", [(0, 2), (5, 7), (999, 1000)]),
        ("bytes=5-6,0-1", [(5, 7), (0, 2)]),
        ("bytes=0-1,2000-", [(0, 2)]),
        ("bytes=990-" + "9" * 30, [(990, 1000)]),
        ("bytes=-" + "9" * 5000, [(0, 1000)]),
        ("bytes=" + "0" * 30 + "5-6", [(5, 7)]),
    ],
)
def test_a_sensible_range_is_answered_in_the_order_asked_for(header, expected):
    assert spans(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=1-2-3",
        "bytes=0x1-2",
        "bytes=٣-٤",
        "lines=0-1",
        "bytes=0-1,x",
    ],
)
def test_a_range_without_sense_is_ignored(header):
    assert spans(header) == []


@pytest.mark.parametrize("header", ["bytes=0-9,5-14", "bytes=0-,0-", "bytes=-10,990-995"])
def test_overlapping_ranges_are_ignored_since_they_only_multiply_the_answer(header):
    assert spans(header) == []


def test_more_ranges_than_any_player_needs_are_ignored():
    many = ",".join(f"{2 * n}-{2 * n}" for n in range(MAX_RANGES + 1))
    assert spans(f"bytes={many}") == []


@pytest.mark.parametrize(
    ("header", "size_bytes"),
    [
        ("bytes=1000-", SIZE),
        ("bytes=-0", SIZE),
        ("bytes=0-", 0),
        ("bytes=" + "9" * 19 + "-", SIZE),
        ("bytes=" + "9" * 5000 + "-" + "9" * 5000, SIZE),
    ],
)
def test_a_range_outside_the_file_is_refused_with_its_size(header, size_bytes):
    with pytest.raises(RangeNotSatisfiableError) as refused:
        parse_ranges(header, size_bytes)
    assert refused.value.size_bytes == size_bytes


def test_a_part_names_its_place_with_the_last_byte_included():
    assert ByteRange(start=0, end=500).content_range(SIZE) == "bytes 0-499/1000"
