"""A piece of the video: the grid's frames, and the renditions made from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import ffmpeg

from services.shared.plan import Plan
from services.shared.task import Piece
from services.shared.tracks import Rendition
from services.transcoder.command.compiling import compiled
from services.transcoder.command.encoders import devices, eased, encoder, prepared
from services.transcoder.command.inputs import Input
from services.transcoder.command.treatment import converted, deinterlaced, scaled

_LAST_PICTURE_FRAMES: Final = 2
"""So long the last picture is repeated before it is laid on the grid: it takes one place, early or late."""


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
    grid = grid_frames(opened["V:0"], plan, work, from_start=seek_s is None)
    frames = converted(grid, plan.treatment).filter_multi_output("split", len(renditions))
    outputs = [
        _rendition_output(frames[i], plan, work, rendition, targets[rendition.name])
        for i, rendition in enumerate(renditions)
    ]
    return compiled(outputs, before=devices(*renditions))


def grid_frames(video: Any, plan: Plan, work: Piece, *, from_start: bool = False) -> Any:
    """Exactly the planned frames of a piece, wherever in the source decoding began.

    Args:
        video: the decoded stream.
        plan: the plan.
        work: the piece.
        from_start: whether decoding began with the source's first picture.
    """
    # Where the stream ends, the filter `fps` drops a picture that does not tell for how long it is shown.
    lasting = _repeated(video, plan) if _in_tail(plan, work) else video
    placed = lasting.filter("setpts", _place(plan))
    fill = {"start_time": 0} if from_start and plan.lead_frames else {}
    frames = deinterlaced(placed, plan.treatment).filter(
        "fps", f"{plan.fps.num}/{plan.fps.den}", round="near", **fill
    )
    return _cut_out(frames, plan, work)


def _place(plan: Plan) -> str:
    """When a picture is shown, counted from the grid's zero."""
    if plan.counted is None:
        return f"PTS-({plan.start_ticks})"
    lead = f"{plan.lead_frames}*{plan.fps.den}/{plan.fps.num}"
    return f"(N*{plan.counted.den}/{plan.counted.num}+{lead})/TB"


def _repeated(video: Any, plan: Plan) -> Any:
    duration_s = _LAST_PICTURE_FRAMES * plan.fps.den / plan.fps.num
    return video.filter("tpad", stop_duration=f"{duration_s:.6f}", stop_mode="clone")


def _in_tail(plan: Plan, work: Piece) -> bool:
    end = work.end_frame
    return plan.tail_frames > 0 and (end is None or end > plan.frames - plan.tail_frames)


def _cut_out(frames: Any, plan: Plan, work: Piece) -> Any:
    end = work.end_frame
    if _in_tail(plan, work):
        frames, end = frames.filter("tpad", stop=-1, stop_mode="clone"), plan.frames if end is None else end
    return frames.filter("trim", start_pts=work.first_frame, **({} if end is None else {"end_pts": end}))


def _rendition_output(frames: Any, plan: Plan, work: Piece, rendition: Rendition, target: str) -> Any:
    picture = scaled(frames, plan.treatment, width=rendition.width, height=rendition.height)
    encoded = encoder(eased(rendition, work.relief), segment_frames=plan.segment_frames)
    return prepared(picture, rendition).output(target, **encoded, **_fragmented_mp4(plan, work))


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
