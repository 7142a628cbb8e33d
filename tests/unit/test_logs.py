"""Log files of children stay bounded while the child goes on writing."""

from __future__ import annotations

from pathlib import Path

from services.local import logs


def test_a_long_log_is_moved_aside_and_the_writer_goes_on(tmp_path: Path):
    file = tmp_path / "logs" / "web-1.log"
    with logs.open_log(file) as output:
        output.write(b"old\n" * 10)
        assert logs.trim(file, limit_bytes=20)
        output.write(b"new\n")
    assert file.read_bytes() == b"new\n"
    assert file.with_name("web-1.log.1").read_bytes() == b"old\n" * 10


def test_a_short_log_is_left_alone(tmp_path: Path):
    file = tmp_path / "web-1.log"
    file.write_bytes(b"fine\n")
    assert not logs.trim(file, limit_bytes=20)
    assert file.read_bytes() == b"fine\n"


def test_a_missing_log_is_fine(tmp_path: Path):
    assert not logs.trim(tmp_path / "web-1.log")
    assert logs.tail(tmp_path / "web-1.log", lines=3) == ""


def test_the_tail_is_the_last_lines(tmp_path: Path):
    file = tmp_path / "web-1.log"
    file.write_text("".join(f"line {number}\n" for number in range(5_000)))
    assert logs.tail(file, lines=2) == "line 4998\nline 4999"
