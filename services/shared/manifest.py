"""DASH and HLS manifests, written from the plan and from what of it is in the ring. Pure.

Both speak about the same files. While segments are missing, the MPD is dynamic with a timeline that grows
and a known total duration (a recording in progress), and the playlists are of type EVENT; once all are
there, static and VOD.

Times are presentation times. Video segment `n` begins at frame `n * segment_frames`. Sound segments are
shifted by the AAC encoder's delay of one frame, which the edit list in the initialisation segment takes
off: the first one is shorter by it.

Sources: ISO/IEC 23009-1 (DASH), RFC 8216 (HLS).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import groupby, pairwise
from math import ceil
from typing import Final
from xml.etree import ElementTree as ET

from services.shared.errors import NotFoundError
from services.shared.video import (
    AAC_FRAME_SAMPLES,
    AAC_FRAMES_PER_SEGMENT,
    AUDIO_RATE_HZ,
    HLS_FILE,
    MPD_FILE,
    AudioTrack,
    Availability,
    Plan,
    Rendition,
    init_file,
    playlist_file,
    segment_file,
    segment_template,
)

_AAC: Final = "mp4a.40.2"
_AUDIO_BITRATE: Final = 140_000
"""What is announced for sound until it has been measured: 128 kbit/s and the container around it."""

_AUDIO_CHANNELS: Final = 2
_AVAILABLE_SINCE: Final = "1970-01-01T00:00:00Z"
_UPDATE_PERIOD: Final = "PT1S"
_TIME_STATED: Final = "urn:mpeg:dash:utc:direct:2014"
_BUFFER_TIME: Final = "PT4S"
_AUDIO_GROUP: Final = "audio"
_MICROSECONDS: Final = 1_000_000
_ALIGNED: Final = {"segmentAlignment": "true", "startWithSAP": "1"}
_HLS_HEADER: Final = ("#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS")


@dataclass(frozen=True, kw_only=True)
class _Track:
    """A track that has something to play, and when its segments begin and end."""

    name: str
    codec: str
    bandwidth: int
    timescale: int
    nominal: int
    """Duration of an ordinary segment in ticks."""
    bounds: tuple[int, ...]
    """Beginnings of the segments, and the end of the last one, in ticks."""

    @property
    def durations(self) -> list[int]:
        return [end - start for start, end in pairwise(self.bounds)]


@dataclass(frozen=True, kw_only=True)
class _Presentation:
    """A video as far as it can be played."""

    plan: Plan
    available: Availability

    @property
    def frames(self) -> int:
        return self.available.frames if self.available.complete else self.plan.frames

    @property
    def duration(self) -> Fraction:
        """In seconds."""
        return Fraction(self.frames * self.plan.fps.den, self.plan.fps.num)

    def video(self) -> Iterator[tuple[Rendition, _Track]]:
        for rendition in self.plan.renditions:
            if self.available.video_segments.get(rendition.name):
                yield rendition, self._video_track(rendition)

    def audio(self) -> Iterator[tuple[AudioTrack, _Track]]:
        for audio in self.plan.audio:
            if self.available.audio_segments.get(audio.name):
                yield audio, self._audio_track(audio)

    def average_bandwidth(self, name: str) -> int | None:
        """Bits per second over the whole track, once it is complete."""
        if not self.available.complete:
            return None
        return round(8 * self.available.tracks[name].size_bytes / self.duration)

    def _video_track(self, rendition: Rendition) -> _Track:
        plan, count = self.plan, self.available.video_segments[rendition.name]
        per_frame = plan.timescale * plan.fps.den // plan.fps.num
        frames = [*range(0, count * plan.segment_frames, plan.segment_frames)]
        frames.append(min(count * plan.segment_frames, self.frames))
        return _Track(
            name=rendition.name,
            codec=self.available.tracks[rendition.name].codec,
            bandwidth=self._bandwidth(rendition.name, rendition.bitrate),
            timescale=plan.timescale,
            nominal=plan.segment_frames * per_frame,
            bounds=tuple(frame * per_frame for frame in frames),
        )

    def _audio_track(self, audio: AudioTrack) -> _Track:
        nominal = AAC_FRAMES_PER_SEGMENT * AAC_FRAME_SAMPLES
        ends = range(nominal, (self.available.audio_segments[audio.name] + 1) * nominal, nominal)
        return _Track(
            name=audio.name,
            codec=_AAC,
            bandwidth=self._bandwidth(audio.name, _AUDIO_BITRATE),
            timescale=AUDIO_RATE_HZ,
            nominal=nominal,
            bounds=(0, *(min(end - AAC_FRAME_SAMPLES, audio.duration_samples) for end in ends)),
        )

    def _bandwidth(self, name: str, announced: int) -> int:
        # Players remember what they were told, so it changes only once, from the cap to what was measured.
        return self.available.tracks[name].peak_bitrate if self.available.complete else announced


def manifest_names(plan: Plan) -> tuple[str, ...]:
    """The names of all manifests and playlists of a video."""
    tracks = (*(r.name for r in plan.renditions), *(a.name for a in plan.audio))
    return (MPD_FILE, HLS_FILE, *(playlist_file(track) for track in tracks))


def final_files(plan: Plan, available: Availability) -> dict[str, bytes]:
    """All manifests of a video that is complete, by name."""
    return {name: manifest(name, plan, available) for name in manifest_names(plan)}


def manifest(name: str, plan: Plan, available: Availability, *, published_at_ms: int = 0) -> bytes:
    """One manifest or playlist, as things stand.

    Args:
        name: one of `manifest_names`.
        plan: how the video is cut.
        available: what there is of it.
        published_at_ms: when `available` was found, for players that compare the manifests they get.

    Raises:
        NotFoundError: there is no such manifest, or nothing of its track yet.
    """
    shown = _Presentation(plan=plan, available=available)
    if not any(available.video_segments.values()):
        raise NotFoundError("There is nothing to play yet.")
    if name == MPD_FILE:
        return _mpd(shown, published_at_ms)
    if name == HLS_FILE:
        return _text(_master(shown))
    for _, track in (*shown.video(), *shown.audio()):
        if playlist_file(track.name) == name:
            return _text(_playlist(shown, track))
    raise NotFoundError(f"There is no {name} (yet).")


def _mpd(shown: _Presentation, published_at_ms: int) -> bytes:
    root = ET.Element(
        "MPD",
        {
            "xmlns": "urn:mpeg:dash:schema:mpd:2011",
            "profiles": "urn:mpeg:dash:profile:isoff-live:2011",
            "minBufferTime": _BUFFER_TIME,
            "mediaPresentationDuration": f"PT{float(shown.duration):.6f}S",
            **_liveness(shown, published_at_ms),
        },
    )
    period = ET.SubElement(root, "Period", id="0", start="PT0S")
    if video := [*shown.video()]:
        _video_set(period, shown.plan, video)
    for number, (audio, track) in enumerate(shown.audio()):
        _audio_set(period, shown.plan, audio, track, main=number == 0)
    if not shown.available.complete:
        # Any time at all will do, with everything available since 1970. But a player that is told none asks a
        # server of its maker's choice, and strangers need not know what is watched here.
        ET.SubElement(root, "UTCTiming", schemeIdUri=_TIME_STATED, value=_moment(published_at_ms))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _liveness(shown: _Presentation, published_at_ms: int) -> dict[str, str]:
    if shown.available.complete:
        return {"type": "static"}
    return {
        "type": "dynamic",
        "availabilityStartTime": _AVAILABLE_SINCE,
        "publishTime": _moment(published_at_ms),
        "minimumUpdatePeriod": _UPDATE_PERIOD,
        # As far behind the end as the beginning is: players would start near the end, as for a broadcast.
        "suggestedPresentationDelay": f"PT{ceil(shown.duration)}S",
    }


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _video_set(period: ET.Element, plan: Plan, tracks: list[tuple[Rendition, _Track]]) -> None:
    group = ET.SubElement(
        period,
        "AdaptationSet",
        {"id": "0", "contentType": "video", "mimeType": "video/mp4", **_ALIGNED},
    )
    for rendition, track in tracks:
        representation = _representation(group, track)
        representation.set("width", str(rendition.width))
        representation.set("height", str(rendition.height))
        representation.set("frameRate", _frame_rate(plan))
        representation.set("sar", "1:1")
        _segment_template(representation, plan, track)


def _audio_set(period: ET.Element, plan: Plan, audio: AudioTrack, track: _Track, *, main: bool) -> None:
    group = ET.SubElement(
        period,
        "AdaptationSet",
        {
            "id": str(audio.index + 1),
            "contentType": "audio",
            "mimeType": "audio/mp4",
            "lang": audio.language,
            **_ALIGNED,
        },
    )
    role = "main" if main else "alternate"
    ET.SubElement(group, "Role", schemeIdUri="urn:mpeg:dash:role:2011", value=role)
    representation = _representation(group, track)
    representation.set("audioSamplingRate", str(AUDIO_RATE_HZ))
    scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"
    ET.SubElement(representation, "AudioChannelConfiguration", schemeIdUri=scheme, value=str(_AUDIO_CHANNELS))
    _segment_template(representation, plan, track)


def _representation(group: ET.Element, track: _Track) -> ET.Element:
    return ET.SubElement(
        group, "Representation", id=track.name, codecs=track.codec, bandwidth=str(track.bandwidth)
    )


def _segment_template(representation: ET.Element, plan: Plan, track: _Track) -> None:
    template = ET.SubElement(
        representation,
        "SegmentTemplate",
        timescale=str(track.timescale),
        initialization=init_file(track.name, plan.generation),
        media=segment_template(track.name, plan.generation),
        startNumber="0",
    )
    timeline = ET.SubElement(template, "SegmentTimeline")
    for duration, group in groupby(track.durations):
        run = ET.SubElement(timeline, "S", d=str(duration))
        if repeats := len([*group]) - 1:
            run.set("r", str(repeats))
    timeline[0].set("t", "0")


def _frame_rate(plan: Plan) -> str:
    return str(plan.fps.num) if plan.fps.den == 1 else f"{plan.fps.num}/{plan.fps.den}"


def _master(shown: _Presentation) -> list[str]:
    audio = [*shown.audio()]
    lines = [*_HLS_HEADER]
    lines += [_audio_line(number, sound) for number, (sound, _) in enumerate(audio)]
    for rendition, track in shown.video():
        lines += [_variant_line(shown, rendition, track, [sound for _, sound in audio])]
        lines += [playlist_file(track.name)]
    return lines


def _audio_line(number: int, audio: AudioTrack) -> str:
    fields = (
        "TYPE=AUDIO",
        f'GROUP-ID="{_AUDIO_GROUP}"',
        f'NAME="{number + 1} ({audio.language})"',
        f'LANGUAGE="{audio.language}"',
        f"DEFAULT={'NO' if number else 'YES'}",
        "AUTOSELECT=YES",
        f'CHANNELS="{_AUDIO_CHANNELS}"',
        f'URI="{playlist_file(audio.name)}"',
    )
    return "#EXT-X-MEDIA:" + ",".join(fields)


def _variant_line(shown: _Presentation, rendition: Rendition, video: _Track, audio: list[_Track]) -> str:
    fps = Fraction(shown.plan.fps.num, shown.plan.fps.den)
    codecs = ",".join(dict.fromkeys(track.codec for track in (video, *audio)))
    fields = [f"BANDWIDTH={video.bandwidth + max((track.bandwidth for track in audio), default=0)}"]
    if (average := shown.average_bandwidth(video.name)) is not None:
        average += max((shown.average_bandwidth(track.name) or 0 for track in audio), default=0)
        fields += [f"AVERAGE-BANDWIDTH={average}"]
    fields += [
        f'CODECS="{codecs}"',
        f"RESOLUTION={rendition.width}x{rendition.height}",
        f"FRAME-RATE={float(fps):.3f}",
    ]
    if audio:
        fields += [f'AUDIO="{_AUDIO_GROUP}"']
    return "#EXT-X-STREAM-INF:" + ",".join(fields)


def _playlist(shown: _Presentation, track: _Track) -> list[str]:
    complete, generation = shown.available.complete, shown.plan.generation
    lines = [
        *_HLS_HEADER,
        f"#EXT-X-TARGETDURATION:{round(track.nominal / track.timescale)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if complete else 'EVENT'}",
    ]
    if not complete:
        # Without it a player begins near the end of what there is, as for a live broadcast.
        lines += ["#EXT-X-START:TIME-OFFSET=0,PRECISE=YES"]
    lines += [f'#EXT-X-MAP:URI="{init_file(track.name, generation)}"']
    times_us = [round(Fraction(tick * _MICROSECONDS, track.timescale)) for tick in track.bounds]
    for number, (start_us, end_us) in enumerate(pairwise(times_us)):
        lines += [f"#EXTINF:{(end_us - start_us) / _MICROSECONDS:.6f},"]
        lines += [segment_file(track.name, generation, number)]
    return [*lines, "#EXT-X-ENDLIST"] if complete else lines


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
