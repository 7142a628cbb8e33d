"""Streams of text, as WebVTT."""

from __future__ import annotations

from collections.abc import Mapping

import ffmpeg

from services.shared.captions import TextTrack
from services.transcoder.command.compiling import compiled
from services.transcoder.command.inputs import Input


def texts(source: Input, targets: Mapping[TextTrack, str]) -> list[str]:
    """Take text streams out of a source, each to its target, with the source's own times."""
    opened = ffmpeg.input(source.url, copyts=None, **source.options)
    options = {"c:s": "webvtt", "format": "webvtt", "map_metadata": -1, "avoid_negative_ts": "disabled"}
    return compiled(
        [opened[f"s:{track.index}"].output(target, **options) for track, target in targets.items()]
    )
