from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.shared.errors import InvalidRequestError
from services.transcoder.fragments import FragmentParser, InitSegment, MediaSegment
from tests.unit.test_fragments import FIRST, SECOND, VIDEO

STREAM = VIDEO + FIRST + SECOND


def fed(portions: list[bytes]) -> list[InitSegment | MediaSegment]:
    parser = FragmentParser()
    return [item for portion in portions for item in parser.feed(portion)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_segments_do_not_depend_on_how_the_bytes_arrive(cuts):
    bounds = [0, *sorted(cuts), len(STREAM)]
    portions = [STREAM[start:end] for start, end in pairwise(bounds)]
    assert fed(portions) == fed([STREAM])
    assert b"".join(item.data for item in fed(portions)) == STREAM


@given(st.integers(0, len(STREAM) - 1), st.binary(min_size=1, max_size=8))
def test_damage_is_either_harmless_or_refused(position, garbage):
    damaged = STREAM[:position] + garbage + STREAM[position + len(garbage) :]
    with suppress(InvalidRequestError):
        fed([damaged])
