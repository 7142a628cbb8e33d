"""A piece of the video: the grid's frames, and the renditions made from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ffmpeg

from services.shared.video import Piece, Plan, Rendition
from services.transcoder.command.compiling import compiled
from services.transcoder.command.encoders import devices, encoder, prepared
from services.transcoder.command.inputs import Input


def piece(
    source: Input, plan: Plan, work: Piece, *, seek_s: float | None, targets: Mapping[str, str]
) -> list[str]:
    """Encode a piece in all its renditions from one decode.

    Args:
        source: where to read.
        plan: the plan that the piece belongs to.
        work: the piece.
        seek_s: where to start reading, see `services.transcoder.timeline.seeks`.
        targets: output URL by rendition name.
    """
    seek = {} if seek_s is None else {"noaccurate_seek": None, "seek_timestamp": 1, "ss": f"{seek_s:.6f}"}
    opened = ffmpeg.input(source.url, copyts=None, threads=1, **seek, **source.options)
    renditions = [rendition for rendition in plan.renditions if rendition.name in work.renditions]
    frames = grid_frames(opened["V:0"], plan, work).filter_multi_output("split", len(renditions))
    outputs = [
        _rendition_output(frames[i], plan, work, rendition, targets[rendition.name])
        for i, rendition in enumerate(renditions)
    ]
    return compiled(outputs, before=devices(*renditions))


def grid_frames(video: Any, plan: Plan, work: Piece) -> Any:
    """Exactly the planned frames of a piece, wherever in the source decoding began."""
    end = {} if work.end_frame is None else {"end_pts": work.end_frame}
    return (
        video.filter("setpts", f"PTS-({plan.start_ticks})")
        .filter("fps", f"{plan.fps.num}/{plan.fps.den}", round="near")
        .filter("trim", start_pts=work.first_frame, **end)
    )


def _rendition_output(frames: Any, plan: Plan, work: Piece, rendition: Rendition, target: str) -> Any:
    scaled = frames.filter("scale", rendition.width, rendition.height, flags="bicubic").filter("setsar", 1)
    encoded = encoder(rendition, segment_frames=plan.segment_frames)
    return prepared(scaled, rendition).output(target, **encoded, **_fragmented_mp4(plan, work))


def _fragmented_mp4(plan: Plan, work: Piece) -> dict[str, Any]:
    return {
        "map_metadata": -1,
        "map_chapters": -1,
        "video_track_timescale": plan.timescale,
        # One fragment per key frame; `frag_discont` makes the first one begin at its real time instead of 0.
        "movflags": "+dash+delay_moov+frag_keyframe+skip_sidx+skip_trailer+frag_discont",
        "fragment_index": work.first_segment + 1,
        "use_editlist": 1,
        "format": "mp4",
    }
