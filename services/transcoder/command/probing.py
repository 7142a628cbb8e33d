"""Ways to look at a source without encoding it."""

from __future__ import annotations

import ffmpeg

from services.transcoder.command.compiling import compiled
from services.transcoder.command.inputs import Input


def probe_streams(source: Input) -> list[str]:
    """Ffprobe: container and streams as JSON."""
    return _ffprobe(source, "-show_format", "-show_streams", "-of", "json")


def probe_packets(source: Input) -> list[str]:
    """Ffprobe: one line `pts,dts,duration,flags` per packet of the main video stream, in decoding order."""
    entries = ("-select_streams", "V:0", "-show_entries", "packet=pts,dts,duration,flags", "-of", "csv=p=0")
    return _ffprobe(source, *entries)


def _ffprobe(source: Input, *query: str) -> list[str]:
    options = (part for name, value in source.options.items() for part in (f"-{name}", str(value)))
    return ["ffprobe", "-hide_banner", "-v", "error", *options, *query, "-i", source.url]


def decode_one(source: Input) -> list[str]:
    """Decode the first picture that can be decoded and throw it away."""
    opened = ffmpeg.input(source.url, **source.options)
    return compiled([opened["V:0"].output("pipe:", format="null", **{"frames:v": 1})])
