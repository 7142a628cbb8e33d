"""The text streams of a source, as WebVTT on the video's own clock."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Final

from services.shared import webvtt
from services.shared.captions import TextTrack
from services.shared.errors import PermanentJobError, RequestError
from services.shared.plan import Plan
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.process import Chunks, ExitError, Limits, run_ffmpeg

log = logging.getLogger(__name__)

_MILLISECONDS: Final = 1000

_DRAWING: Final = re.compile(
    r"(?<!\w)m(?:[ \t]+-?[\d.]+){2}[ \t]+[lbs](?:[ \t]+(?:[mnlbspc](?!\w)|-?[\d.]+))+"
)
"""A drawing of SubStation Alpha, `m 0 0 l 100 0 100 100`: ffmpeg takes it for words and leaves out the tag
that tells. See http://www.tcax.org/docs/ass-specs.htm, "Drawing tags"."""


async def take_captions(source: Input, plan: Plan, *, limits: Limits) -> dict[TextTrack, bytes]:
    """Those of the plan's text streams that can be read and have something to say, as WebVTT files.

    The source is read once for all of them; only if that fails, once for each, as far as time allows.

    Args:
        source: where to read.
        plan: names the streams, and the video's clock.
        limits: bounds of each process; the wall time is that of all together.

    Raises:
        TransientJobError: a limit stopped ffmpeg.
    """
    end_s = monotonic() + limits.wall_s
    taken = await _taken(source, plan.texts, limits)
    for track in () if taken or len(plan.texts) == 1 else plan.texts:
        left_s = end_s - monotonic()
        taken |= await _taken(source, [track], replace(limits, wall_s=left_s)) if left_s > 0 else {}
    files = {track: _on_the_grid(track, text, plan) for track, text in taken.items()}
    return {track: file for track, file in files.items() if file}


async def _taken(source: Input, tracks: Sequence[TextTrack], limits: Limits) -> dict[TextTrack, bytes]:
    """The streams with their own times; empty if any of them could not be read."""
    texts = [_Text() for _ in tracks]

    def build(urls: Sequence[str]) -> list[str]:
        return command.texts(source, dict(zip(tracks, urls, strict=True)))

    try:
        await run_ffmpeg(build, [text.consume for text in texts], limits=limits)
    except (ExitError, PermanentJobError) as error:
        log.warning("%s cannot be read: %s", _names(tracks), error)
        return {}
    return {track: bytes(text.data) for track, text in zip(tracks, texts, strict=True)}


def _on_the_grid(track: TextTrack, text: bytes, plan: Plan) -> bytes:
    """The captions from the video's first picture on, as far as it goes; empty if there are none."""
    zero_ms = round(plan.start_ticks * _MILLISECONDS * plan.time_base.num / plan.time_base.den)
    try:
        cues, left_out = webvtt.salvaged(_DRAWING.sub("", webvtt.decoded(text)))
    except RequestError as error:
        log.warning("%s cannot be read: %s", _names([track]), error)
        return b""
    if left_out:
        log.warning("%s: %d were left out, too long or too many", _names([track]), left_out)
    lasts_ms = round(plan.duration_s * _MILLISECONDS)
    shown = webvtt.shifted(cues, by_ms=-zero_ms, end_ms=lasts_ms)
    return webvtt.written(shown, lasts_ms=lasts_ms) if shown else b""


class _Text:
    """Keeps a stream of text, which must not be endless."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def consume(self, chunks: Chunks) -> None:
        async for chunk in chunks:
            self.data += chunk
            if len(self.data) > webvtt.MAX_BYTES:
                raise PermanentJobError(f"There are more than {webvtt.MAX_BYTES >> 20} MiB of captions.")


def _names(tracks: Iterable[TextTrack]) -> str:
    return "captions " + ", ".join(track.name for track in tracks)
