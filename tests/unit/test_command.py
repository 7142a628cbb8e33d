from __future__ import annotations

from services.shared.plan import Plan, Rational
from services.shared.task import Piece
from services.shared.tracks import AudioTrack, Rendition
from services.shared.treatment import Colours, Treatment
from services.transcoder import command
from services.transcoder.command import Input

FILE = Input(location="/videos/a file.mp4")
RANGES = Input(location="http://127.0.0.1:1234/secret", formats="mov,mp4")
PLAN = Plan(
    generation=1,
    time_base=Rational(num=1, den=30_000),
    start_ticks=-2002,
    fps=Rational(num=30_000, den=1001),
    frames=900,
    segment_frames=120,
    timescale=30_000,
    renditions=(
        Rendition(name="240p", width=426, height=240, bitrate=523_000),
        Rendition(name="360p", width=640, height=360, bitrate=962_000),
    ),
    input_format="mov,mp4",
    encoder="x",
)
MIDDLE = Piece(
    index=1,
    first_frame=120,
    end_frame=360,
    first_segment=1,
    segments=2,
    renditions=("240p", "360p"),
    seeks_s=(2.64,),
)
LAST = MIDDLE.model_copy(update={"end_frame": None})
TARGETS = {"240p": "pipe:7", "360p": "pipe:8"}


def value(arguments: list[str], option: str) -> str:
    return arguments[arguments.index(option) + 1]


def test_every_program_that_opens_a_source_is_kept_to_its_protocol_and_format():
    made = [
        command.probe_streams(RANGES),
        command.probe_packets(RANGES),
        command.probe_clock(RANGES),
        command.probe_frames(RANGES, 0, "%+#8"),
        command.probe_sound(RANGES, from_s=3.5),
        command.piece(RANGES, PLAN, MIDDLE, seek_s=2.64, targets=TARGETS),
        command.audio(RANGES, PLAN, AudioTrack(index=0, duration_samples=48_000), target="pipe:7"),
        command.key_pictures(RANGES, PLAN.renditions[0], PLAN.treatment),
        command.typical_pictures(RANGES, PLAN.renditions[0], PLAN.treatment),
    ]
    for arguments in made:
        assert value(arguments, "-protocol_whitelist") == "http,tcp"
        assert value(arguments, "-format_whitelist") == "mov,mp4"
        assert value(arguments, "-max_streams") == "32"
        assert "-max_pixels" in arguments
        # Options of an input count only if they stand before it.
        assert arguments.index("-format_whitelist") < arguments.index("-i")


def test_no_path_is_taken_for_another_protocol():
    arguments = command.probe_streams(Input(location="concat:secret|other"))
    assert value(arguments, "-i") == "file:concat:secret|other"
    assert value(arguments, "-protocol_whitelist") == "file"


def test_a_piece_is_cut_out_on_the_frame_grid_and_scaled_from_one_decode():
    arguments = command.piece(FILE, PLAN, MIDDLE, seek_s=2.64, targets=TARGETS)
    graph = value(arguments, "-filter_complex")
    assert graph.startswith("[0:V:0]setpts=PTS-(-2002)[s0];[s0]fps=30000/1001:round=near[s1];")
    assert "trim=end_pts=360:start_pts=120" in graph
    assert "split=2" in graph
    assert "scale=426:240:flags=bicubic" in graph
    assert "scale=640:360:flags=bicubic" in graph
    assert value(arguments, "-ss") == "2.640000"
    assert value(arguments, "-fragment_index") == "2"
    assert [arguments[arguments.index(url)] for url in TARGETS.values()] == ["pipe:7", "pipe:8"]


def test_the_first_piece_does_not_seek_and_the_last_has_no_end():
    first = command.piece(FILE, PLAN, MIDDLE, seek_s=None, targets=TARGETS)
    assert "-ss" not in first
    assert "-noaccurate_seek" not in first
    last = command.piece(FILE, PLAN, LAST, seek_s=2.64, targets=TARGETS)
    assert "end_pts" not in value(last, "-filter_complex")


def test_a_piece_of_one_rendition_makes_only_that():
    only = MIDDLE.model_copy(update={"renditions": ("360p",)})
    arguments = command.piece(FILE, PLAN, only, seek_s=2.64, targets={"360p": "pipe:9"})
    assert arguments.count("libx264") == 1
    assert value(arguments, "-maxrate") == "962000"
    assert value(arguments, "-bufsize") == "1443000"
    assert arguments[-1] == "pipe:9"


def test_sound_is_laid_against_the_beginning_of_the_picture():
    track = AudioTrack(index=2, duration_samples=480_000)
    arguments = command.audio(FILE, PLAN, track, target="pipe:7")
    assert value(arguments, "-map") == "0:a:2"
    assert "PTS-(-0.066733333+" in value(arguments, "-af")
    assert value(arguments, "-af").endswith("apad=whole_dur=10.000000000,atrim=end=10.000000000")
    assert value(arguments, "-frag_duration") == "4009666"


def test_progress_is_asked_for_on_standard_output():
    assert command.with_progress(["ffmpeg", "-y"])[:3] == ["ffmpeg", "-progress", "pipe:1"]


def graph_of(treatment: Treatment, *, lead: int = 0, tail: int = 0, work: Piece = MIDDLE) -> str:
    plan = PLAN.model_copy(update={"treatment": treatment, "lead_frames": lead, "tail_frames": tail})
    seek_s = None if not work.first_frame else 2.64
    return value(command.piece(FILE, plan, work, seek_s=seek_s, targets=TARGETS), "-filter_complex")


def test_fields_are_woven_apart_before_pictures_are_chosen():
    graph = graph_of(Treatment(interlaced=True))
    assert graph.index("setpts") < graph.index("bwdif=deint=interlaced") < graph.index("fps=30000/1001")


def test_colours_are_converted_once_for_all_renditions_and_labelled_in_each():
    wide = Colours(primaries="bt2020", transfer="smpte2084", matrix="bt2020nc")
    graph = graph_of(Treatment(convert_from=wide, peak_nits=1000, label=Colours.bt709()))
    assert graph.index("trim") < graph.index("transferin=smpte2084") < graph.index("split")
    assert graph.count("tonemap=hable:desat=0:peak=10.0") == 1
    assert graph.count("setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv") == 2


def test_plans_from_before_there_were_treatments_are_encoded_as_they_were_begun():
    graph = graph_of(Treatment())
    assert not any(name in graph for name in ("bwdif", "zscale", "setparams", "tpad", "start_time"))


def test_the_first_picture_is_repeated_only_where_decoding_begins_with_it():
    first = MIDDLE.model_copy(update={"first_frame": 0, "end_frame": 120, "segments": 1})
    assert "round=near:start_time=0" in graph_of(Treatment(), lead=50, work=first)
    assert "start_time" not in graph_of(Treatment(), lead=50)


def test_the_last_picture_is_repeated_to_the_planned_end():
    assert "tpad=stop=-1:stop_mode=clone" in graph_of(Treatment(), tail=100, work=LAST)
    assert "trim=end_pts=900:start_pts=120" in graph_of(Treatment(), tail=100, work=LAST)
    assert "tpad=stop_duration=0.066733:stop_mode=clone" in graph_of(Treatment(), tail=100, work=LAST)
    assert "tpad" not in graph_of(Treatment(), tail=100)
