"""What a file's header says of its streams, as ffprobe prints it, and what is refused on that alone. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.shared.errors import UnsupportedMediaError
from services.shared.languages import known_language
from services.shared.tracks import SoundRole
from services.transcoder.command.inputs import MAX_PIXELS, MAX_STREAMS
from services.transcoder.source import UNKNOWN, AudioFacts, Span, TextFacts, is_seekable

UNDECODABLE: Final = "None of the file's pictures can be decoded."

_MIN_SIDE: Final = 16
"""Smaller pictures hold less than one H.264 macroblock."""
_MAX_AUDIO_TRACKS: Final = 8
_TEXT_CODECS: Final = frozenset({"ass", "eia_608", "mov_text", "ssa", "subrip", "text", "webvtt"})
"""Captions made of words. Those made of pictures (DVDs, Blu-rays, broadcasts) have no place in a manifest."""

_STILLS: Final = frozenset({"bmp", "gif", "jpeg2000", "mjpeg", "png", "tiff", "webp"})
"""What covers are made of, also those that are kept as a track like any other. Some cameras film so, too."""
_DOLBY_ONLY_PROFILE: Final = 5
"""The profile of Dolby Vision whose pictures mean nothing to other decoders."""
_REORDERED: Final = frozenset({"h264", "hevc"})
"""Codecs whose pictures may wait for any number of later ones before they are shown."""
_CLOCK: Final = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)$")

Stream = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The largest source that is accepted."""

    duration_s: float = 12 * 3600
    packets: int = 6_000_000
    pixels: int = MAX_PIXELS
    streams: int = MAX_STREAMS


@dataclass(frozen=True, kw_only=True)
class Header:
    """A file that says it holds a video."""

    format_name: str
    """The demuxer's names, as ffprobe prints them."""
    duration_s: float | None
    video: Stream
    """ffprobe's description of the main video stream."""
    audio: tuple[AudioFacts, ...]
    texts: tuple[TextFacts, ...]
    places: tuple[int, ...]
    """Where in the file the streams are that are used: the video, the sounds, the captions."""
    leads: bool
    """Whether the video is the first one of the file, which is what ffmpeg takes unless told otherwise."""
    sound: Span | None
    """From the first sound to the last, as far as is told: the end may be infinite. None: there is none."""
    patient: bool = False
    """Whether what reads the file has to read far until it knows the streams."""

    @property
    def seekable(self) -> bool:
        """Whether pieces can be cut by seeking; otherwise the source must be remuxed first."""
        return self.leads and is_seekable(self.format_name)

    @property
    def numbered(self) -> bool:
        """Whether the file has no time stamps, but numbers its pictures."""
        return self.format_name == "avi"

    @property
    def counted(self) -> bool:
        """Whether only a decoder can tell in which order the pictures are shown, and so when."""
        held_back = int(self.video.get("has_b_frames", 0))
        return self.numbered and self.video.get("codec_name") in _REORDERED and held_back > 0


def read_header(described: Mapping[str, Any], bounds: Bounds) -> Header:
    """The header in ffprobe's JSON.

    Raises:
        UnsupportedMediaError: the file is not a video that can be played; the message says why, for people.
    """
    streams = described["streams"]
    if len(streams) > bounds.streams:
        raise UnsupportedMediaError(f"The file has {len(streams)} streams; {bounds.streams} are allowed.")
    videos = [s for s in streams if s.get("codec_type") == "video" and not _is_cover(s)]
    video = _main_video(videos, streams)
    _check_picture(video, bounds)
    _check_decodable(video)
    sounds, texts = _sounds(streams, _companions(described, video)), _texts(streams)
    return Header(
        format_name=described["format"]["format_name"],
        duration_s=_seconds(described["format"].get("duration")),
        video=video,
        audio=tuple(_audio_facts(stream, index) for index, stream in sounds),
        texts=tuple(_text_facts(stream, index) for index, stream in texts),
        places=tuple(
            int(stream["index"]) for stream in (video, *(stream for _, stream in (*sounds, *texts)))
        ),
        leads=video is videos[0],
        sound=_sound_span(described["format"], [stream for _, stream in sounds]),
    )


def lacks_size(described: Mapping[str, Any]) -> bool:
    """Whether ffprobe's JSON has a video whose size is not told: perhaps it has not read far enough."""
    return any(s.get("codec_type") == "video" and not s.get("width") for s in described["streams"])


def displayed_size(stream: Stream) -> tuple[int, int]:
    """Width and height with square pixels, turned upright."""
    width, height = int(stream["width"]), int(stream["height"])
    num, _, den = stream.get("sample_aspect_ratio", "1:1").partition(":")
    if num.isdigit() and den.isdigit() and int(num) and int(den):
        width = max(1, round(width * int(num) / int(den)))
    turns = round(_rotation(stream) / 90) % 4
    return (height, width) if turns in {1, 3} else (width, height)


def _main_video(videos: Sequence[Stream], streams: Sequence[Stream]) -> Stream:
    """Moving pictures before what may be a cover, then what the file wants to have shown."""
    if videos:
        return min(videos, key=lambda s: (s.get("codec_name") in _STILLS, not _disposition(s).get("default")))
    if any(stream.get("codec_type") == "audio" for stream in streams):
        raise UnsupportedMediaError("The file has sound, but no video.")
    raise UnsupportedMediaError("The file has no video stream.")


def _check_picture(video: Stream, bounds: Bounds) -> None:
    if not int(video.get("width", 0)):
        raise UnsupportedMediaError(UNDECODABLE)
    # Both as it is stored and as it is shown: pixels that are not square may stretch it beyond all bounds.
    for width, height in ((int(video["width"]), int(video["height"])), displayed_size(video)):
        if width * height > bounds.pixels:
            raise UnsupportedMediaError(f"The picture of {width} by {height} pixels is too large.")
        if min(width, height) < _MIN_SIDE:
            raise UnsupportedMediaError(f"The picture of {width} by {height} pixels is too small.")


def _check_decodable(video: Stream) -> None:
    if any(_is_dolby_only(entry) for entry in _side_data(video)):
        raise UnsupportedMediaError(
            f"The colours are of Dolby Vision's profile {_DOLBY_ONLY_PROFILE}, which only Dolby's decoders "
            "can show. Export the video as HDR10, HLG or SDR."
        )


def _is_dolby_only(entry: Mapping[str, Any]) -> bool:
    return entry.get("dv_profile") == _DOLBY_ONLY_PROFILE


def _is_cover(stream: Stream) -> bool:
    return bool(_disposition(stream).get("attached_pic"))


def _companions(described: Mapping[str, Any], video: Stream) -> frozenset[int] | None:
    """Where the streams are that belong to the same programme of a broadcast; None: all of them do."""
    programmes = [
        frozenset(int(stream["index"]) for stream in programme.get("streams", []))
        for programme in described.get("programs", [])
    ]
    return next((members for members in programmes if int(video["index"]) in members), None)


def _sounds(streams: Sequence[Stream], companions: frozenset[int] | None) -> list[tuple[int, Stream]]:
    """Sound streams that can be used, each with its number among all sound streams of the file."""
    numbered = enumerate(stream for stream in streams if stream.get("codec_type") == "audio")
    usable = [
        (number, stream)
        for number, stream in numbered
        if stream.get("codec_name", "unknown") != "unknown"
        and int(stream.get("channels", 0))
        and (companions is None or int(stream["index"]) in companions)
    ]
    return usable[:_MAX_AUDIO_TRACKS]


def _audio_facts(stream: Stream, index: int) -> AudioFacts:
    return AudioFacts(
        index=index,
        codec=stream["codec_name"],
        channels=int(stream["channels"]),
        language=known_language(_tag(stream, "language")),
        layout=stream.get("channel_layout", UNKNOWN),
        title=_tag(stream, "title"),
        default=bool(_disposition(stream).get("default")),
        role=_role(stream),
    )


def _texts(streams: Sequence[Stream]) -> list[tuple[int, Stream]]:
    """Captions made of words, each with its number among all captions of the file."""
    numbered = enumerate(stream for stream in streams if stream.get("codec_type") == "subtitle")
    return [(number, stream) for number, stream in numbered if stream.get("codec_name") in _TEXT_CODECS]


def _text_facts(stream: Stream, index: int) -> TextFacts:
    return TextFacts(
        index=index, language=known_language(_tag(stream, "language")), title=_tag(stream, "title")
    )


def _role(stream: Stream) -> SoundRole:
    disposition = _disposition(stream)
    if disposition.get("comment"):
        return SoundRole.COMMENTARY
    return SoundRole.DESCRIPTION if disposition.get("visual_impaired") else SoundRole.PROGRAMME


def _sound_span(container: Mapping[str, Any], sounds: Sequence[Stream]) -> Span | None:
    """What the file claims. Streams that do not say how long they are may be as long as the file.

    What is recorded live may say neither: its sound ends who knows when.
    """
    if not sounds:
        return None
    starts = [start for stream in sounds if (start := _seconds(stream.get("start_time"))) is not None]
    start_s = min(starts, default=_seconds(container.get("start_time")) or 0.0)
    whole_s = _seconds(container.get("duration"))
    longest = math.inf if whole_s is None else whole_s
    lengths = [length if (length := _length_s(stream)) is not None else longest for stream in sounds]
    return Span(start_s=start_s, end_s=max(starts, default=start_s) + max(lengths))


def _length_s(stream: Stream) -> float | None:
    told = _seconds(stream.get("duration"))
    return _clock_s(_tag(stream, "DURATION")) if told is None else told


def _clock_s(text: str) -> float | None:
    """Seconds of a time as Matroska's tags have it: 00:00:09.023000000."""
    match = _CLOCK.match(text)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


def _seconds(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:  # not told
        return None


def _rotation(stream: Stream) -> float:
    return next((float(entry["rotation"]) for entry in _side_data(stream) if "rotation" in entry), 0.0)


def _side_data(stream: Stream) -> list[dict[str, Any]]:
    return list(stream.get("side_data_list", []))


def _tag(stream: Stream, name: str) -> str:
    return str(stream.get("tags", {}).get(name, ""))


def _disposition(stream: Stream) -> dict[str, Any]:
    return dict(stream.get("disposition", {}))
