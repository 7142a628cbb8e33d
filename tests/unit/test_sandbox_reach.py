from __future__ import annotations

import shutil
from pathlib import Path

from services.transcoder.sandbox.reach import reach_of

SOURCE = ("-i", "http://127.0.0.1:4321/secret")


def test_an_input_on_disk_may_be_read_and_nothing_else():
    reach = reach_of(["ffprobe", "-of", "json", "-i", "file:/videos/a.mp4"])
    assert reach.reads == (Path("/videos/a.mp4"),)
    assert (reach.writes, reach.ports, reach.devices) == ((), (), False)


def test_an_input_over_http_is_one_port():
    reach = reach_of(["ffmpeg", *SOURCE, "-f", "null", "pipe:"])
    assert (reach.ports, reach.reads, reach.writes) == ((4321,), (), ())


def test_an_output_may_be_written_where_it_is_to_be():
    reach = reach_of(["ffmpeg", *SOURCE, "-c", "copy", "file:/scratch/x/source.mkv"])
    assert reach.writes == (Path("/scratch/x"),)
    assert reach.reads == ()


def test_what_is_made_up_or_piped_takes_nothing():
    reach = reach_of(["ffmpeg", "-f", "lavfi", "-i", "testsrc2", "-f", "mp4", "pipe:5"])
    assert (reach.reads, reach.writes, reach.ports) == ((), (), ())


def test_the_program_is_looked_up_as_a_shell_would():
    found = shutil.which("ffmpeg")
    assert found is not None
    assert reach_of(["ffmpeg", "-version"]).program == Path(found)
    assert reach_of(["no-such-program"]).program == Path("no-such-program")


def test_hardware_encoders_need_devices():
    assert reach_of(["ffmpeg", "-i", "file:/a", "-c:v", "h264_nvenc", "pipe:1"]).devices
    assert not reach_of(["ffmpeg", "-i", "file:/a", "-c:v", "libx264", "pipe:1"]).devices
