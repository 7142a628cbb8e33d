"""Encoders and what they must be told, so that separately made pieces fit together."""

from __future__ import annotations

from typing import Any

import ffmpeg

from services.shared.video import Plan, Rendition
from services.transcoder.command.compiling import compiled


def encoder(plan: Plan, rendition: Rendition) -> dict[str, Any]:
    """Options of an output that encode a rendition."""
    size = plan.segment_frames
    return {
        "c:v": "libx264",
        "preset": "veryfast",
        "profile:v": "high",
        "crf": 23,
        "maxrate": rendition.bitrate,
        "bufsize": rendition.bitrate * 3 // 2,
        # Key frames at segment starts and nowhere else. The zone lifts the first key frame of each run,
        # which x264 makes weaker than later ones because it has no history to judge by.
        "x264-params": f"keyint={size}:min-keyint={size}:scenecut=0:open-gop=0:threads=1:zones=0,0,b=1.4",
    }


def encode_blank() -> list[str]:
    """Encode one grey picture with the encoder in use, as a bare H.264 stream on standard output."""
    blank = ffmpeg.input("color=gray:size=64x64", format="lavfi")
    return compiled([blank.output("pipe:1", format="h264", **{"c:v": "libx264", "frames:v": 1})])
