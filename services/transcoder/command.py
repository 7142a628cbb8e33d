"""ffmpeg and ffprobe command lines: the only module that imports ffmpeg-python.

Every option here was found by experiment to matter; the reasons stand beside them. Options of one input
or output come out in alphabetical order, which ffmpeg doesn't mind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ffmpeg

from services.shared.video import (
    AAC_FRAME_SAMPLES,
    AAC_FRAMES_PER_SEGMENT,
    AUDIO_RATE_HZ,
    AudioTrack,
    Piece,
    Plan,
    Rendition,
)

PROBE_FORMATS: Final = "mov,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,mxf"
"""Containers that may be opened. Playlist formats (hls, concat, dash) are kept out: they make ffmpeg read
other files, or send requests, for whoever uploaded them, whatever the protocol whitelist says."""

MAX_STREAMS: Final = 32
MAX_PIXELS: Final = 8192 * 4608
"""Per picture; also bounds the memory of a decoder fed with a tiny file that claims a huge picture."""

_AUDIO_BITRATE: Final = 128_000
_MICROSECONDS: Final = 1_000_000
_POSTER_S: Final = 10
_POSTER_BATCH_FRAMES: Final = 25


@dataclass(frozen=True, kw_only=True)
class Input:
    """Where the source's bytes are: an `http://` address or a local path, and the formats it may have."""

    location: str
    formats: str = PROBE_FORMATS

    @property
    def options(self) -> dict[str, Any]:
        """What limits every program that opens it."""
        return {
            "protocol_whitelist": "http,tcp" if self._is_http else "file",
            "format_whitelist": self.formats,
            "max_pixels": MAX_PIXELS,
            "max_streams": MAX_STREAMS,
        }

    @property
    def url(self) -> str:
        """The location with its protocol spelt out, so that no path can be mistaken for another protocol."""
        return self.location if self._is_http else f"file:{self.location}"

    @property
    def _is_http(self) -> bool:
        return self.location.startswith("http://")


def probe_streams(source: Input) -> list[str]:
    """Ffprobe: container and streams as JSON."""
    return _ffprobe(source, "-show_format", "-show_streams", "-of", "json")


def probe_packets(source: Input) -> list[str]:
    """Ffprobe: one line `pts,dts,duration,flags` per packet of the main video stream, in decoding order."""
    entries = ("-select_streams", "V:0", "-show_entries", "packet=pts,dts,duration,flags", "-of", "csv=p=0")
    return _ffprobe(source, *entries)


def _ffprobe(source: Input, *query: str) -> list[str]:
    options = (part for name, value in source.options.items() for part in (f"-{name}", str(value)))
    return ["ffprobe", "-hide_banner", "-v", "error", *options, *query, "-i", source.url]


def decode_one(source: Input) -> list[str]:
    """Decode the first picture that can be decoded and throw it away."""
    opened = ffmpeg.input(source.url, **source.options)
    return _compiled([opened["V:0"].output("pipe:", format="null", **{"frames:v": 1})])


def remux(source: Input, destination: Path) -> list[str]:
    """Copy the streams into Matroska, for containers in which seeking loses frames. Fresh timestamps."""
    opened = ffmpeg.input(source.url, fflags="+genpts", **source.options)
    copied = ffmpeg.output(
        opened["V:0"], opened["a?"], f"file:{destination}", codec="copy", format="matroska"
    )
    return _compiled([copied])


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
    frames = _grid_frames(opened["V:0"], plan, work).filter_multi_output("split", len(renditions))
    outputs = [
        _rendition_output(frames[i], plan, work, rendition, targets[rendition.name])
        for i, rendition in enumerate(renditions)
    ]
    return _compiled(outputs)


def _grid_frames(video: Any, plan: Plan, work: Piece) -> Any:
    end = {} if work.end_frame is None else {"end_pts": work.end_frame}
    return (
        video.filter("setpts", f"PTS-({plan.start_ticks})")
        .filter("fps", f"{plan.fps.num}/{plan.fps.den}", round="near")
        .filter("trim", start_pts=work.first_frame, **end)
    )


def _rendition_output(frames: Any, plan: Plan, work: Piece, rendition: Rendition, target: str) -> Any:
    picture = (
        frames.filter("scale", rendition.width, rendition.height, flags="bicubic")
        .filter("setsar", 1)
        .filter("format", "yuv420p")
    )
    return picture.output(target, **_encoder(plan, rendition), **_fragmented_mp4(plan, work))


def _encoder(plan: Plan, rendition: Rendition) -> dict[str, Any]:
    size = plan.segment_frames
    return {
        "c:v": "libx264",
        "preset": "veryfast",
        "profile:v": "high",
        "crf": 23,
        "maxrate": rendition.bitrate,
        "bufsize": rendition.bitrate * 3 // 2,
        # Key frames at segment starts and nowhere else. The zone lifts the first key frame of each run,
        # which x264 makes weaker than later ones because it has no history to judge by.
        "x264-params": f"keyint={size}:min-keyint={size}:scenecut=0:open-gop=0:threads=1:zones=0,0,b=1.4",
    }


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


def audio(source: Input, plan: Plan, track: AudioTrack, *, target: str) -> list[str]:
    """Encode one audio stream whole, stretched or cut to exactly the length of the video."""
    start_s = plan.start_ticks * plan.time_base.num / plan.time_base.den
    end_s = track.duration_samples / AUDIO_RATE_HZ
    opened = ffmpeg.input(source.url, copyts=None, **source.options)
    filters = (
        f"asetpts=PTS-({start_s:.9f})/TB,"
        f"aresample={AUDIO_RATE_HZ}:async=1:min_hard_comp=0.100:first_pts=0,"
        f"apad=whole_dur={end_s:.9f},atrim=end={end_s:.9f}"
    )
    return _compiled([opened[f"a:{track.index}"].output(target, af=filters, **_aac())])


def _aac() -> dict[str, Any]:
    frame_us = AAC_FRAME_SAMPLES * _MICROSECONDS / AUDIO_RATE_HZ
    return {
        "c:a": "aac",
        "b:a": _AUDIO_BITRATE,
        "ac": 2,
        "map_metadata": -1,
        "map_chapters": -1,
        "movflags": "+dash+delay_moov+skip_sidx+skip_trailer",
        # A fragment is closed by the first frame that reaches this length: a millisecond short of 188 frames.
        "frag_duration": int(AAC_FRAMES_PER_SEGMENT * frame_us) - 1000,
        "format": "mp4",
    }


def poster(source: Input, rendition: Rendition) -> list[str]:
    """A few typical pictures from the first seconds, as JPEG files one after the other on standard output."""
    opened = ffmpeg.input(source.url, t=_POSTER_S, threads=1, **source.options)
    pictures = (
        opened["V:0"]
        .filter("scale", rendition.width, rendition.height, flags="bicubic")
        .filter("setsar", 1)
        .filter("thumbnail", _POSTER_BATCH_FRAMES)
        .output("pipe:1", format="image2pipe", **{"c:v": "mjpeg", "q:v": 4, "fps_mode": "passthrough"})
    )
    return _compiled([pictures])


def encode_blank() -> list[str]:
    """Encode one grey picture with the encoder in use, as a bare H.264 stream on standard output."""
    blank = ffmpeg.input("color=gray:size=64x64", format="lavfi")
    return _compiled([blank.output("pipe:1", format="h264", **{"c:v": "libx264", "frames:v": 1})])


def with_progress(arguments: Sequence[str]) -> list[str]:
    """The command, reporting its progress on standard output twice a second."""
    program, *rest = arguments
    return [program, "-progress", "pipe:1", "-stats_period", "0.5", "-nostats", *rest]


def _compiled(outputs: Iterable[Any]) -> list[str]:
    program = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "warning", "-y", "-filter_complex_threads", "1"]
    return list(ffmpeg.compile(ffmpeg.merge_outputs(*outputs), cmd=program))
