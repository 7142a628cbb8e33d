from __future__ import annotations

from services.transcoder.foresight import NOTICE_S, Foresight
from services.transcoder.process import Progress


class Watching:
    """An encoder of 100 frames, and when its end was foreseen."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.said_at: list[int] = []
        self._seen = 0
        self._foresight = Foresight(100, lambda: self.said_at.append(self._seen), clock=lambda: self.now_s)

    def see(self, frames: int, *, after_s: float) -> None:
        self.now_s, self._seen = 50.0 + after_s, frames
        self._foresight.see(Progress(frames=frames, position_s=0.0))


def test_the_end_is_foreseen_from_the_speed_so_far():
    watching = Watching()
    for half_seconds in range(20):
        watching.see(5 * half_seconds, after_s=NOTICE_S * half_seconds)
    assert watching.said_at == [95]


def test_a_fast_encoder_is_known_to_be_done_at_its_first_report():
    watching = Watching()
    watching.see(60, after_s=NOTICE_S)
    assert watching.said_at == [60]


def test_nothing_is_foreseen_before_the_first_frame():
    watching = Watching()
    watching.see(0, after_s=0.0)
    watching.see(0, after_s=5.0)
    assert watching.said_at == []


def test_it_is_said_once_even_where_there_are_more_frames_than_expected():
    watching = Watching()
    for frames in (99, 100, 105):
        watching.see(frames, after_s=2.0)
    assert watching.said_at == [99]
