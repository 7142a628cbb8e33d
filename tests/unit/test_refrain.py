"""How often the log says that something which is tried again all the time still fails."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import pytest

from services.shared.refrain import Refrain

log = logging.getLogger("tests.refrain")


@dataclass
class Poll:
    """Something tried every half second."""

    caplog: pytest.LogCaptureFixture
    now_s: float = 1000.0
    refrain: Refrain = field(init=False)

    def __post_init__(self) -> None:
        self.caplog.set_level(logging.INFO, log.name)
        self.refrain = Refrain(log, level=logging.ERROR, clock=lambda: self.now_s)

    def fail(self, complaint: str, *, for_s: float) -> None:
        end_s = self.now_s + for_s
        while self.now_s < end_s:
            self.refrain.say(complaint)
            self.now_s += 0.5

    @property
    def said(self) -> list[str]:
        return [record.getMessage() for record in self.caplog.records]


@pytest.fixture
def poll(caplog: pytest.LogCaptureFixture) -> Poll:
    return Poll(caplog)


def test_the_same_complaint_is_heard_once_a_minute(poll: Poll):
    poll.fail("away", for_s=60)
    assert poll.said == ["away"]
    poll.fail("away", for_s=61)
    assert poll.said == ["away"] * 3
    assert {record.levelname for record in poll.caplog.records} == {"ERROR"}


def test_another_complaint_is_heard_at_once(poll: Poll):
    poll.fail("lost", for_s=1)
    poll.fail("away", for_s=1)
    poll.fail("lost", for_s=1)
    assert poll.said == ["lost", "away", "lost"]


def test_the_end_is_told_once_and_what_follows_at_once(poll: Poll):
    poll.fail("away", for_s=2)
    poll.refrain.end("back")
    poll.refrain.end("back")
    poll.fail("away", for_s=2)
    assert poll.said == ["away", "back", "away"]


def test_who_never_complained_has_no_news(poll: Poll):
    poll.refrain.end("back")
    assert not poll.said
