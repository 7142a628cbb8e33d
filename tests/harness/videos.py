"""Records of videos for tests: a plan of two renditions and one sound track, in pieces."""

from __future__ import annotations

from services.shared.plan import Plan, Rational
from services.shared.task import Piece, Task, TaskKind, TaskResult, TrackResult
from services.shared.tracks import AudioTrack, Rendition
from services.shared.video import Source, Status, Video, new_video_id

RENDITIONS = (
    Rendition(name="240p", width=426, height=240, bitrate=400_000),
    Rendition(name="480p", width=854, height=480, bitrate=1_400_000),
)
SOUND = AudioTrack(index=0, duration_samples=48_000 * 16)
PIECES = 2
PIECE_SEGMENTS = 2
AUDIO_SEGMENTS = 4


def video_record(
    video_id: str | None = None,
    *,
    status: Status = Status.UPLOADED,
    generation: int = 0,
    parts: int = 2,
    **changes: object,
) -> Video:
    """A video whose original has `parts` parts."""
    source = Source(size_bytes=parts * 1000, sha256="0" * 64, part_bytes=1000, parts=parts)
    video = Video(
        id=video_id or new_video_id(),
        title="A video",
        status=status,
        created_at_ms=1,
        updated_at_ms=1,
        generation=generation,
        source=source,
    )
    return video.model_copy(update=changes)


def plan_record(generation: int = 0, *, remuxed_parts: int = 0) -> Plan:
    """A plan for it."""
    stem = f"remuxed-g{generation}"
    remuxed = Source(stem=stem, size_bytes=1, sha256="0" * 64, part_bytes=1, parts=remuxed_parts)
    return Plan(
        generation=generation,
        time_base=Rational(num=1, den=12_800),
        start_ticks=0,
        fps=Rational(num=25, den=1),
        frames=PIECES * PIECE_SEGMENTS * 100,
        segment_frames=100,
        timescale=12_800,
        renditions=RENDITIONS,
        audio=(SOUND,),
        input_format="mov",
        remuxed=remuxed if remuxed_parts else None,
        encoder="x264",
    )


def task_records() -> list[Task]:
    """The plan's tasks, none of them done."""
    names = tuple(rendition.name for rendition in RENDITIONS)
    pieces = [
        Piece(
            index=index,
            first_frame=index * PIECE_SEGMENTS * 100,
            end_frame=None,
            first_segment=index * PIECE_SEGMENTS,
            segments=PIECE_SEGMENTS,
            renditions=names,
            seeks_s=(None,),
        )
        for index in range(PIECES)
    ]
    return [
        *(Task(name=f"piece-{piece.index}", kind=TaskKind.VIDEO, piece=piece) for piece in pieces),
        Task(name="audio-a0", kind=TaskKind.AUDIO, audio=SOUND),
        Task(name="pictures", kind=TaskKind.PICTURES),
    ]


def done(task: Task, *, segments: int | None = None, frames: int = 1) -> Task:
    """The task with its result: as much as was planned, or as many `segments` of each track."""
    planned = {TaskKind.VIDEO: PIECE_SEGMENTS, TaskKind.AUDIO: AUDIO_SEGMENTS, TaskKind.PICTURES: 0}
    names = [*(task.piece.renditions if task.piece else ()), *([task.audio.name] if task.audio else ())]
    track = TrackResult(
        segments=planned[task.kind] if segments is None else segments,
        size_bytes=10,
        peak_bitrate=1000,
        codec="avc1",
        init_sha256="a",
    )
    result = TaskResult(worker="w", frames=frames, tracks=dict.fromkeys(names, track))
    return task.model_copy(update={"result": result})
