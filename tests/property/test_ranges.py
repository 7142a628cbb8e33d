"""Range headers against what they mean, byte by byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.web.ranges import RangeNotSatisfiableError, parse_ranges

sizes = st.integers(0, 400)
numbers = st.integers(0, 500)
specs = st.one_of(
    st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    numbers.map(lambda first: f"{first}-"),
    numbers.map(lambda last: f"-{last}"),
)


def meant(spec: str, size_bytes: int) -> set[int]:
    """The positions that one range stands for, by the words of the RFC."""
    first, _, last = spec.partition("-")
    if not first:
        return set(range(size_bytes)[-int(last) :]) if int(last) else set()
    return set(range(int(first), min(int(last or size_bytes - 1), size_bytes - 1) + 1))


@given(spec=specs, size_bytes=sizes)
def test_a_single_range_gives_exactly_the_bytes_it_means(spec, size_bytes):
    wanted = meant(spec, size_bytes)
    try:
        (found,) = parse_ranges(f"bytes={spec}", size_bytes)
    except RangeNotSatisfiableError:
        assert not wanted
    else:
        assert set(range(found.start, found.end)) == wanted


@given(several=st.lists(specs, min_size=1, max_size=6), size_bytes=sizes)
def test_several_ranges_never_send_a_byte_twice_or_one_that_is_not_there(several, size_bytes):
    try:
        found = parse_ranges("bytes=" + ", ".join(several), size_bytes)
    except RangeNotSatisfiableError:
        assert not any(meant(spec, size_bytes) for spec in several)
        return
    sent = [position for part in found for position in range(part.start, part.end)]
    assert len(sent) == len(set(sent))
    assert not sent or set(sent) == set().union(*(meant(spec, size_bytes) for spec in several))


@given(header=st.text(max_size=60), size_bytes=sizes)
def test_no_header_whatever_breaks_it(header, size_bytes):
    for text in (header, f"bytes={header}"):
        try:
            found = parse_ranges(text, size_bytes)
        except RangeNotSatisfiableError:
            continue
        assert all(0 <= part.start < part.end <= size_bytes for part in found)
