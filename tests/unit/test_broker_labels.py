"""Names and texts that the broker's UI shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.shared.broker import Envelope
from services.shared.broker.labels import clip, connection_name, consumer_tag, describe


def test_a_connection_names_the_service_and_the_instance() -> None:
    assert connection_name("transcoder", "worker-ab12") == "transcoder worker-ab12"
    assert connection_name("web", "web-1", "publishing") == "web web-1 publishing"


def test_a_job_is_described_by_kind_video_and_attempt() -> None:
    envelope = Envelope(type="transcode.piece", body=b"", message_id="m", title="My video", attempt=2)

    assert describe(envelope) == 'transcode.piece of "My video" (attempt 2)'


def test_a_job_without_a_title_shows_the_videos_id() -> None:
    envelope = Envelope(type="transcode.plan", body=b"", message_id="m", correlation_id="v7")

    assert describe(envelope) == 'transcode.plan of "v7" (attempt 1)'


def test_a_long_title_leaves_the_attempt_readable() -> None:
    envelope = Envelope(type="transcode.piece", body=b"", message_id="m", title="x" * 5000)

    assert consumer_tag("worker-1", describe(envelope)).endswith('…" (attempt 1)')


def test_line_breaks_and_direction_marks_become_spaces() -> None:
    assert consumer_tag("w", "a\r\n\u202eb\x00c") == "w: a b c"


@given(st.text(), st.text(max_size=2000))
def test_a_tag_always_fits_into_a_short_string(instance: str, text: str) -> None:
    tag = consumer_tag(instance, text)

    assert len(tag.encode()) <= 255
    assert "\n" not in tag


@given(st.text(max_size=300), st.integers(min_value=3, max_value=400), st.booleans())
def test_clipping_keeps_to_the_limit_and_changes_nothing_that_fits(
    text: str,
    limit_bytes: int,
    keep_end: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    clipped = clip(text, limit_bytes, keep_end=keep_end)

    assert len(clipped.encode()) <= limit_bytes
    if len(text.encode(errors="replace")) <= limit_bytes:
        assert clipped == text.encode(errors="replace").decode()


def test_clipping_can_keep_the_end() -> None:
    assert clip("the reason is last", 7, keep_end=True) == "…last"
