"""Small videos of every container, as material for damage."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.harness.sources import BIG_BUCK_BUNNY, BIKES, VTEST, Recipe, ffmpeg

_TONE: Final = "sine=frequency=440:sample_rate=44100"
_MPEG4: Final = ("-c:v", "mpeg4", "-q:v", "6", "-bf", "2", "-g", "10")
_VP9: Final = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "50k", "-g", "15")

_MADE: Final = tuple(
    Recipe(name=f"fuzz_{number}", size="64x64", duration_s=2.0, sound=_TONE, **options)  # type: ignore[arg-type]
    for number, options in enumerate(
        (
            {},
            {"muxer": ("-movflags", "+faststart")},
            {"muxer": ("-movflags", "+frag_keyframe+empty_moov")},
            {"suffix": "mkv"},
            {"suffix": "webm", "video": _VP9, "audio": ("-c:a", "libopus", "-b:a", "32k")},
            {"suffix": "mov", "video": ("-c:v", "mjpeg", "-q:v", "8")},
            {"suffix": "ts"},
            {"suffix": "avi", "video": _MPEG4},
            {"suffix": "flv"},
            {"suffix": "mpg", "video": ("-c:v", "mpeg2video", "-g", "10"), "audio": ("-c:a", "mp2")},
            {"suffix": "ogv", "video": ("-c:v", "libtheora"), "audio": ("-c:a", "libvorbis")},
            {"suffix": "asf", "video": ("-c:v", "wmv2"), "audio": ("-c:a", "wmav2")},
            {
                "suffix": "mxf",
                "video": ("-c:v", "mpeg2video", "-g", "10"),
                "audio": ("-c:a", "pcm_s16le", "-ar", "48000"),
            },
        )
    )
)
_REAL: Final = (BIKES, BIG_BUCK_BUNNY, VTEST)
_SECONDS: Final = ("-t", "1")


def originals(folder: Path) -> list[bytes]:
    """The material, the generated part of it made in `folder` unless it is there."""
    paths = [recipe.make(folder) for recipe in _MADE]
    paths += [_shortened(path, folder) for path in _REAL if path.exists()]
    return [path.read_bytes() for path in paths]


def _shortened(path: Path, folder: Path) -> Path:
    """The first second of a camera's or a studio's file, its streams as they are."""
    short = folder / f"short_{path.name}"
    if not short.exists():
        ffmpeg("-i", str(path), *_SECONDS, "-c", "copy", str(short))
    return short
