"""What is encoded: real footage looped to a minute or more, and a generated picture of 1080 lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Final

from bench.machine import require_file
from tests.harness.sources import BIG_BUCK_BUNNY, BIKES, VTEST, ffmpeg, x264

_PHOTOGRAPHS: Final = (
    "leuvenA.jpg",
    "fruits.jpg",
    "baboon.jpg",
    "board.jpg",
    "aloeL.jpg",
    "starry_night.jpg",
)
_SHOWN_S: Final = 10


def street(folder: Path, *, duration_s: int) -> Path:
    """A street from above, 768x576, 10 frames per second, hardly any key frames, silent."""
    return _looped(require_file(VTEST, package="opencv-doc"), folder / "street.mkv", duration_s)


def bikes(folder: Path, *, duration_s: int) -> Path:
    """Bicycles in a street, 640x272, 25 frames per second, silent."""
    return _looped(BIKES, folder / "bikes.mp4", duration_s)


def bunny(folder: Path, *, duration_s: int) -> Path:
    """An animated film, 1280x720, 25 frames per second, with sound in 5.1 channels."""
    return _looped(BIG_BUCK_BUNNY, folder / "bunny.mp4", duration_s)


def screen(folder: Path, *, duration_s: int) -> Path:
    """A generated picture like a screen recording's: 1920x1080, 10 frames per second, with a tone."""
    path = folder / "screen.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=10", "-f", "lavfi", "-i", "sine=frequency=330"),
        *("-t", str(duration_s), *x264(), "-c:a", "aac", str(path)),
    )
    return path


def slides(folder: Path, *, duration_s: int) -> Path:
    """Photographs one after the other, ten seconds each, 1280x720, 25 frames per second, silent."""
    shown = [require_file(VTEST.with_name(name), package="opencv-doc") for name in _PHOTOGRAPHS]
    shown = [shown[number % len(shown)] for number in range(-(-duration_s // _SHOWN_S))]
    inputs = [("-loop", "1", "-framerate", "25", "-t", str(_SHOWN_S), "-i", str(photo)) for photo in shown]
    filled = "scale=1280:720:force_original_aspect_ratio=increase,crop=1280:720,setsar=1,format=yuv420p"
    each = "".join(f"[{number}]{filled}[v{number}];" for number in range(len(shown)))
    joined = "".join(f"[v{number}]" for number in range(len(shown)))
    path = folder / "slides.mp4"
    graph = f"{each}{joined}concat=n={len(shown)}[v]"
    chosen = ("-filter_complex", graph, "-map", "[v]", "-t", str(duration_s))
    ffmpeg(*chain.from_iterable(inputs), *chosen, *x264(), str(path))
    return path


def film(folder: Path, *, duration_s: int) -> Path:
    """The animated film again, 1920x1080, with stereo sound: what takes longest to be playable."""
    scene, path = folder / "scene.mp4", folder / f"film-{duration_s}.mp4"
    if not scene.exists():
        # Without sound, or each round of the loop would last as long as that: pictures would come unsteadily.
        scaled = ("-vf", "scale=1920:1080", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20")
        ffmpeg("-i", str(BIG_BUCK_BUNNY), *scaled, "-an", str(scene))
    pictures = ("-stream_loop", "-1", "-fflags", "+genpts", "-i", str(scene))
    sound = ("-stream_loop", "-1", "-i", str(BIG_BUCK_BUNNY))
    chosen = ("-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-ac", "2", "-t", str(duration_s))
    ffmpeg(*pictures, *sound, *chosen, "-movflags", "+faststart", str(path))
    return path


SOURCES: Final[Mapping[str, Callable[..., Path]]] = {
    "street": street,
    "bikes": bikes,
    "bunny": bunny,
    "screen": screen,
    "slides": slides,
}


def _looped(original: Path, path: Path, duration_s: int) -> Path:
    copied = ("-map", "0:V:0", "-map", "0:a?", "-c", "copy", "-t", str(duration_s))
    ffmpeg("-stream_loop", "-1", "-fflags", "+genpts", "-i", str(original), *copied, str(path))
    return path
