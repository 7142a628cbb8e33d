"""Samples of a video, encoded to see how well they come out."""

from __future__ import annotations

from typing import Any, Final

import ffmpeg

from services.shared.encoding import Encoding
from services.shared.plan import Plan
from services.shared.task import Piece
from services.shared.tracks import Rendition
from services.transcoder.command.compiling import compiled
from services.transcoder.command.encoders import encoder, prepared
from services.transcoder.command.inputs import Input
from services.transcoder.command.treatment import converted, scaled
from services.transcoder.command.video import grid_frames
from services.transcoder.complexity import MAX_RELIEF

SAMPLED_RELIEFS: Final = (0, MAX_RELIEF)


def sample(source: Input, plan: Plan, work: Piece, rung: Rendition, *, seek_s: float | None) -> list[str]:
    """Encode a piece at the planned quality and at the coarsest one, and throw it away.

    Always with x264, which says on standard error how similar the pictures are to what it was given, in the
    order of `SAMPLED_RELIEFS`. What is simple for one codec is simple for all of them.
    """
    seek = {} if seek_s is None else {"noaccurate_seek": None, "seek_timestamp": 1, "ss": f"{seek_s:.6f}"}
    opened = ffmpeg.input(source.url, copyts=None, threads=1, **seek, **source.options)
    grid = grid_frames(opened["V:0"], plan, work, from_start=seek_s is None)
    picture = scaled(converted(grid, plan.treatment), plan.treatment, width=rung.width, height=rung.height)
    copies = picture.filter_multi_output("split", len(SAMPLED_RELIEFS))
    outputs = [
        _judged(copies[place], plan, rung, quality=Encoding().quality + relief)
        for place, relief in enumerate(SAMPLED_RELIEFS)
    ]
    return compiled(outputs, loglevel="info")


def _judged(picture: Any, plan: Plan, rung: Rendition, *, quality: int) -> Any:
    rung = rung.model_copy(update={"encoding": Encoding(quality=quality)})
    options = encoder(rung, segment_frames=plan.segment_frames)
    options["x264-params"] += ":ssim=1"
    return prepared(picture, rung).output("pipe:1", format="null", **options)
