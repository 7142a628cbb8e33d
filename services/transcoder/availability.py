"""What can be played of a video, as a pure function of its plan and tasks."""

from __future__ import annotations

from services.shared.plan import Availability, Plan
from services.shared.task import Piece, Task, TaskResult, TrackResult, tracks_complete


def availability(plan: Plan, tasks: list[Task]) -> Availability:
    """Count, for each track, the segments that lie in the ring without a gap from the first one on.

    The video is complete when every task that makes a track is done. Its real number of frames is where the
    last piece begins plus what that piece counted, which in a damaged source is less than planned.
    """
    video = {rendition.name: _leading_segments(rendition.name, tasks) for rendition in plan.renditions}
    audio = {
        track.name: max(map(_audio_segments, _sounds_of(track.name, tasks)), default=0)
        for track in plan.audio
    }
    complete = tracks_complete(tasks)
    return Availability(
        video_segments=video,
        audio_segments=audio,
        complete=complete,
        frames=_real_frames(tasks) if complete else 0,
        tracks=_totals([task.result for task in tasks if task.result and task.leading is None]),
    )


def progress(plan: Plan, tasks: list[Task]) -> float:
    """The share of the work that is done, 0 to 1, each piece weighed by its frames and pixels."""
    pixels = {rendition.name: rendition.width * rendition.height for rendition in plan.renditions}
    weights = [(_weight(task.piece, plan, pixels), task.done) for task in tasks if task.piece]
    total = plan.frames * sum(pixels.values())
    return sum(weight for weight, done in weights if done) / total if total else 0.0


def _weight(piece: Piece, plan: Plan, pixels: dict[str, int]) -> int:
    end = plan.frames if piece.end_frame is None else piece.end_frame
    return (end - piece.first_frame) * sum(pixels.get(name, 0) for name in piece.renditions)


def _pieces_of(track: str, tasks: list[Task]) -> list[tuple[Piece, TaskResult | None]]:
    mine = [(task.piece, task.result) for task in tasks if task.piece and track in task.piece.renditions]
    return sorted(mine, key=lambda pair: pair[0].first_segment)


def _leading_segments(track: str, tasks: list[Task]) -> int:
    available = 0
    for piece, result in _pieces_of(track, tasks):
        if result is None or piece.first_segment != available:
            break
        available += result.tracks[track].segments
    return available


def _sounds_of(track: str, tasks: list[Task]) -> list[Task]:
    return [task for task in tasks if task.audio and task.audio.name == track]


def _audio_segments(task: Task) -> int:
    if task.result is None or task.audio is None:
        return task.segments_done
    made = task.result.tracks.get(task.audio.name)
    return made.segments if made else 0  # a beginning that was left out, of a track that has come back


def _real_frames(tasks: list[Task]) -> int:
    ends = [task.piece.first_frame + task.result.frames for task in tasks if task.piece and task.result]
    return max(ends, default=0)


def _totals(results: list[TaskResult]) -> dict[str, TrackResult]:
    totals: dict[str, TrackResult] = {}
    for result in results:
        for name, track in result.tracks.items():
            so_far = totals.get(name)
            totals[name] = track if so_far is None else _sum(so_far, track)
    return totals


def _sum(one: TrackResult, other: TrackResult) -> TrackResult:
    return one.model_copy(
        update={
            "segments": one.segments + other.segments,
            "size_bytes": one.size_bytes + other.size_bytes,
            "peak_bitrate": max(one.peak_bitrate, other.peak_bitrate),
        }
    )
