from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from services.transcoder.clock import LEAP_S, ClockScan

PICTURES, SOUND = 0, 1


def leap_s(*packets: tuple[int, float], streams: Sequence[int] = (PICTURES, SOUND)) -> float | None:
    scan = ClockScan(streams)
    for stream, time_s in packets:
        scan.take(stream, time_s, 1.0)
    return scan.leap_s


def both(*times_s: float) -> list[tuple[int, float]]:
    return [(stream, time_s) for time_s in times_s for stream in (PICTURES, SOUND)]


def test_a_clock_that_only_goes_on_is_believed():
    assert leap_s() is None
    assert leap_s(*both(95_440, 95_441, 95_442)) is None


def test_pictures_that_stay_away_while_there_is_sound_are_a_hole():
    sound = [(SOUND, float(second)) for second in range(2, 40)]
    assert leap_s(*both(0, 1), *sound, *both(40, 41)) is None


def test_what_no_stream_fills_is_a_leap():
    assert leap_s(*both(0, 1, 20, 21)) == LEAP_S
    assert leap_s(*both(0, 1, 9, 10)) is None


def test_with_one_stream_alone_a_gap_has_to_be_longer_to_be_a_leap():
    assert leap_s((PICTURES, 0), (PICTURES, 20), streams=[PICTURES]) is None
    assert leap_s((PICTURES, 0), (PICTURES, 200), streams=[PICTURES]) == LEAP_S


@pytest.mark.parametrize(("length_s", "least_s"), [(1, 1.0), (4, 2.0), (8, 4.0), (1000, LEAP_S)])
def test_where_the_clock_falls_back_what_comes_late_of_one_stream_is_told_by_half_of_that(length_s, least_s):
    assert leap_s(*both(0, length_s, 0, length_s)) == least_s


def test_small_steps_back_are_no_fall():
    assert leap_s(*both(0, 1, 0.95, 2)) is None


def test_streams_that_are_not_used_say_nothing():
    assert leap_s(*both(0, 1), (7, 500.0), (7, 0.0), *both(2, 3)) is None


async def test_lines_without_a_time_are_passed_over():
    async def chunks() -> AsyncIterator[bytes]:
        yield b"0,1.0,0.04\n\n1,N/A,N/A\nrubbish\n0,30.0,"
        yield b"0.04,\n"

    scan = ClockScan([0, 1])
    await scan.consume(chunks())
    assert scan.leap_s == LEAP_S
