from __future__ import annotations

from fractions import Fraction
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from services.shared.filenames import MPD_FILE, segment_file
from services.shared.manifest import manifest
from services.shared.plan import Availability, Plan, Rational
from services.shared.task import TrackResult
from services.shared.tracks import AAC_FRAME_SAMPLES, AAC_FRAMES_PER_SEGMENT, AudioTrack, Rendition
from services.transcoder.timeline import STANDARD_RATES

DASH = {"d": "urn:mpeg:dash:schema:mpd:2011"}
SEGMENT_SAMPLES = AAC_FRAMES_PER_SEGMENT * AAC_FRAME_SAMPLES


@st.composite
def presentations(draw) -> tuple[Plan, Availability]:
    rate = draw(st.sampled_from(STANDARD_RATES))
    frames = draw(st.integers(1, 100_000))
    samples = round(frames / rate * 48_000)
    timescale = rate.numerator * draw(st.sampled_from([1, 2, 512]))
    plan = Plan(
        generation=draw(st.integers(1, 99)),
        time_base=Rational(num=1, den=1000),
        start_ticks=0,
        fps=Rational(num=rate.numerator, den=rate.denominator),
        frames=frames,
        segment_frames=max(1, round(4 * rate)),
        timescale=timescale,
        renditions=(Rendition(name="240p", width=426, height=240, bitrate=523_000),),
        audio=(AudioTrack(index=0, duration_samples=max(samples, 1)),),
        input_format="mov",
        encoder="x",
    )
    track = TrackResult(segments=1, size_bytes=1, peak_bitrate=1, codec="avc1.64001e", init_sha256="")
    complete = draw(st.booleans())
    sound_segments = -(-(samples + AAC_FRAME_SAMPLES) // SEGMENT_SAMPLES)
    available = Availability(
        video_segments={"240p": plan.segments if complete else draw(st.integers(1, plan.segments))},
        audio_segments={"a0": sound_segments if complete else draw(st.integers(1, sound_segments))},
        complete=complete,
        frames=frames if complete else 0,
        tracks={"240p": track, "a0": track},
    )
    return plan, available


def template_of(root: ET.Element, name: str) -> ET.Element:
    template = root.find(f".//d:Representation[@id='{name}']/d:SegmentTemplate", DASH)
    assert template is not None
    return template


def segments_of(root: ET.Element, name: str) -> tuple[Fraction, list[int]]:
    """Seconds per tick, and the durations that a track's timeline spells out."""
    template = template_of(root, name)
    runs = template.findall("d:SegmentTimeline/d:S", DASH)
    durations = [int(run.attrib["d"]) for run in runs for _ in range(int(run.get("r", "0")) + 1)]
    return Fraction(1, int(template.attrib["timescale"])), durations


@given(presentations())
def test_a_timeline_has_the_available_segments_and_a_complete_one_sums_to_the_length(presentation):
    plan, available = presentation
    root = ET.fromstring(manifest(MPD_FILE, plan, available))  # noqa: S314 - our own
    tick_s, durations = segments_of(root, "240p")
    assert len(durations) == available.video_segments["240p"]
    assert all(duration > 0 for duration in durations)
    if available.complete:
        assert sum(durations) * tick_s == Fraction(plan.frames * plan.fps.den, plan.fps.num)
    tick_s, durations = segments_of(root, "a0")
    assert len(durations) == available.audio_segments["a0"]
    assert all(duration > 0 for duration in durations)
    if available.complete:
        assert sum(durations) == plan.audio[0].duration_samples


@given(presentations())
def test_playlists_name_the_available_files_and_last_as_long_as_the_mpd_says(presentation):
    plan, available = presentation
    root = ET.fromstring(manifest(MPD_FILE, plan, available))  # noqa: S314 - our own
    counts = {**available.video_segments, **available.audio_segments}
    for name, count in counts.items():
        lines = manifest(f"{name}.m3u8", plan, available).decode().splitlines()
        files = [line for line in lines if not line.startswith("#")]
        assert files == [segment_file(name, plan.generation, number) for number in range(count)]
        lengths = [Fraction(line[8:-1]) for line in lines if line.startswith("#EXTINF:")]
        tick_s, durations = segments_of(root, name)
        assert abs(sum(lengths) - sum(durations) * tick_s) <= Fraction(1, 1_000_000)
        target = next(int(line[22:]) for line in lines if line.startswith("#EXT-X-TARGETDURATION:"))
        assert all(round(length) <= target for length in lengths)


@given(presentations())
def test_the_template_fills_in_to_the_files_names(presentation):
    plan, available = presentation
    root = ET.fromstring(manifest(MPD_FILE, plan, available))  # noqa: S314 - our own
    for name in ("240p", "a0"):
        media = template_of(root, name).attrib["media"]
        assert media.replace("$Number%05d$", f"{7:05d}") == segment_file(name, plan.generation, 7)
