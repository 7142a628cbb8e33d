from services.shared.plan import Plan, Rational
from services.shared.task import Piece, Task, TaskKind, TaskResult, TrackResult
from services.shared.tracks import AudioTrack, Rendition
from services.transcoder.availability import availability, progress

LOW = Rendition(name="240p", width=426, height=240, bitrate=400_000)
HIGH = Rendition(name="480p", width=854, height=480, bitrate=1_400_000)
SOUND = AudioTrack(index=0, duration_samples=48_000 * 12)
PLAN = Plan(
    generation=0,
    time_base=Rational(num=1, den=12_800),
    start_ticks=0,
    fps=Rational(num=25, den=1),
    frames=300,
    segment_frames=100,
    timescale=12_800,
    renditions=(LOW, HIGH),
    audio=(SOUND,),
    input_format="mov",
    encoder="x264",
)


def piece_task(
    first_segment: int, segments: int, *names: str, last: bool = False, frames: int | None = None
) -> Task:
    piece = Piece(
        index=first_segment,
        first_frame=first_segment * 100,
        end_frame=None if last else (first_segment + segments) * 100,
        first_segment=first_segment,
        segments=segments,
        renditions=names,
        seeks_s=(None,),
    )
    task = Task(name=f"piece-{first_segment}-{names[0]}", kind=TaskKind.VIDEO, piece=piece)
    return task if frames is None else done(task, segments, frames)


def done(task: Task, segments: int, frames: int) -> Task:
    assert task.piece
    tracks = {name: track(segments) for name in task.piece.renditions}
    return task.model_copy(update={"result": TaskResult(worker="w", frames=frames, tracks=tracks)})


def track(segments: int, *, peak: int = 1000) -> TrackResult:
    return TrackResult(segments=segments, size_bytes=10, peak_bitrate=peak, codec="avc1", init_sha256="a")


def audio_task(*, segments_done: int = 0, segments: int | None = None) -> Task:
    result = None if segments is None else TaskResult(worker="w", frames=500, tracks={"a0": track(segments)})
    return Task(name="audio-a0", kind=TaskKind.AUDIO, audio=SOUND, segments_done=segments_done, result=result)


def test_a_piece_behind_a_gap_does_not_count():
    tasks = [
        piece_task(0, 1, "240p", frames=100),
        piece_task(1, 1, "240p"),
        piece_task(2, 1, "240p", frames=100),
    ]
    assert availability(PLAN, tasks).video_segments["240p"] == 1


def test_each_rendition_has_its_own_count():
    tasks = [
        piece_task(0, 1, "240p", frames=100),
        piece_task(0, 1, "480p"),
        piece_task(1, 2, "240p", "480p", last=True, frames=200),
    ]
    assert availability(PLAN, tasks).video_segments == {"240p": 3, "480p": 0}


def test_sound_counts_while_it_is_being_encoded():
    assert availability(PLAN, [audio_task(segments_done=2)]).audio_segments == {"a0": 2}
    assert availability(PLAN, [audio_task(segments_done=2, segments=3)]).audio_segments == {"a0": 3}


def test_a_sound_track_that_was_left_out_does_not_count():
    other = AudioTrack(index=1, duration_samples=48_000)
    settled = Task(name="audio-a1", kind=TaskKind.AUDIO, audio=other, result=TaskResult(worker=""))
    assert availability(PLAN, [audio_task(segments=3), settled]).audio_segments == {"a0": 3}


def test_the_last_piece_tells_how_long_the_video_really_is():
    tasks = [
        piece_task(0, 1, "240p", "480p", frames=100),
        piece_task(1, 2, "240p", "480p", last=True, frames=137),
        audio_task(segments=3),
    ]
    result = availability(PLAN, tasks)
    assert result.complete
    assert result.frames == 237


def test_pictures_do_not_hold_a_video_up():
    tasks = [piece_task(0, 3, "240p", "480p", last=True, frames=300), audio_task(segments=3)]
    pictures = Task(name="pictures", kind=TaskKind.PICTURES)
    assert availability(PLAN, [*tasks, pictures]).complete
    assert not availability(PLAN, [*tasks[:1], audio_task(), pictures]).complete


def test_totals_add_sizes_and_keep_the_peak():
    one, two = piece_task(0, 1, "240p", frames=100), piece_task(1, 2, "240p", last=True, frames=200)
    assert two.result
    louder = two.result.model_copy(update={"tracks": {"240p": track(2, peak=9000)}})
    totals = availability(PLAN, [one, two.model_copy(update={"result": louder})]).tracks["240p"]
    assert (totals.segments, totals.size_bytes, totals.peak_bitrate) == (3, 20, 9000)


def test_progress_weighs_pieces_by_pixels():
    low, high = LOW.width * LOW.height, HIGH.width * HIGH.height
    tasks = [
        piece_task(0, 1, "240p", frames=100),
        piece_task(0, 1, "480p"),
        piece_task(1, 2, "240p", "480p", last=True),
    ]
    assert progress(PLAN, tasks) == 100 * low / (300 * (low + high))
    assert progress(PLAN, []) == 0.0
