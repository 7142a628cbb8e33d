"""Find out what a source is, and refuse what is not a video that can be played."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Final

from services.shared.errors import UnsupportedMediaError
from services.shared.languages import known_language
from services.shared.video import Rational, SoundRole
from services.transcoder import command
from services.transcoder.command import MAX_PIXELS, MAX_STREAMS, Input
from services.transcoder.process import (
    Chunks,
    ExitError,
    Limits,
    Progress,
    collect,
    lines_of,
    run,
    run_ffmpeg,
)
from services.transcoder.source import AudioFacts, KeyFrame, SourceInfo, VideoFacts

_MAX_HEADER_BYTES: Final = 4 * 1024 * 1024
_MIN_SIDE: Final = 16
"""Smaller pictures hold less than one H.264 macroblock."""

_MAX_AUDIO_TRACKS: Final = 8
_GAP_SAMPLE: Final = 10_000
"""Packets at the beginning from which the typical distance between frames is taken."""

_GRACE_S: Final = 600
_MAX_MEAN_GAP_S: Final = 60
"""A video may stand still for a while, but one that claims hours from a handful of packets is a trap."""

_UNDECODABLE: Final = "None of the file's pictures can be decoded."
_LIMITS: Final = Limits(wall_s=1200, cpu_s=1200)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The largest source that is accepted."""

    duration_s: float = 12 * 3600
    packets: int = 6_000_000
    pixels: int = MAX_PIXELS
    streams: int = MAX_STREAMS


async def probe(source: Input, *, bounds: Bounds = Bounds(), limits: Limits = _LIMITS) -> SourceInfo:
    """Look at a source: its streams, the packets of its main video stream, and one decoded picture.

    Reads the video's packets once, from first to last.

    Raises:
        UnsupportedMediaError: it is not a video that can be played; the message says why, for people.
        TransientJobError: a limit stopped ffprobe.
    """
    try:
        header = await collect(command.probe_streams(source), limits=limits, max_bytes=_MAX_HEADER_BYTES)
    except ExitError as error:
        raise UnsupportedMediaError(_unreadable(error.stderr)) from error
    described = json.loads(header)
    stream = _main_video(described["streams"], bounds)
    packets = await _scan(source, bounds, limits)
    await _decode_one(source, limits)
    info = SourceInfo(
        format_name=described["format"]["format_name"],
        video=_video_facts(stream, packets),
        audio=_audio_facts(described["streams"]),
    )
    _check_length(info.video, bounds)
    return info


def _unreadable(stderr: str) -> str:
    if "not on whitelist" in stderr:
        return "This kind of file is not accepted: it is a list of other files, or of an unknown container."
    if "max_streams" in stderr:
        return f"The file has more than {MAX_STREAMS} streams."
    return "This is not a video file that can be read: it is empty, damaged, or something else."


def _main_video(streams: list[dict[str, Any]], bounds: Bounds) -> dict[str, Any]:
    if len(streams) > bounds.streams:
        raise UnsupportedMediaError(f"The file has {len(streams)} streams; {bounds.streams} are allowed.")
    video = next((s for s in streams if s.get("codec_type") == "video" and not _is_cover(s)), None)
    if video is None:
        raise UnsupportedMediaError("The file has no video stream.")
    _check_picture(video, bounds)
    return video


def _check_picture(video: dict[str, Any], bounds: Bounds) -> None:
    if not int(video.get("width", 0)):
        raise UnsupportedMediaError(_UNDECODABLE)
    # Both as it is stored and as it is shown: pixels that are not square may stretch it beyond all bounds.
    for width, height in ((int(video["width"]), int(video["height"])), _displayed_size(video)):
        if width * height > bounds.pixels:
            raise UnsupportedMediaError(f"The picture of {width} by {height} pixels is too large.")
        if min(width, height) < _MIN_SIDE:
            raise UnsupportedMediaError(f"The picture of {width} by {height} pixels is too small.")


def _is_cover(stream: dict[str, Any]) -> bool:
    return bool(stream.get("disposition", {}).get("attached_pic"))


async def _decode_one(source: Input, limits: Limits) -> None:
    decoded = 0

    def count(report: Progress) -> None:
        nonlocal decoded
        decoded = max(decoded, report.frames)

    try:
        await run_ffmpeg(lambda _: command.decode_one(source), [], limits=limits, on_progress=count)
    except ExitError as error:
        raise UnsupportedMediaError(_UNDECODABLE) from error
    if not decoded:
        raise UnsupportedMediaError(_UNDECODABLE)


async def _scan(source: Input, bounds: Bounds, limits: Limits) -> _PacketScan:
    packets = _PacketScan(bounds.packets)
    try:
        await run(command.probe_packets(source), packets.consume, limits=limits)
    except ExitError as error:
        raise UnsupportedMediaError(_unreadable(error.stderr)) from error
    if not packets.packets:
        raise UnsupportedMediaError("The file's video stream is empty.")
    return packets


class _PacketScan:
    """Digests the list of packets line by line, keeping only what planning needs."""

    def __init__(self, max_packets: int) -> None:
        self._max_packets = max_packets
        self._early = array("q")
        self._first: int | None = None
        self._start: int | None = None
        self._key_frames: list[KeyFrame] = []
        self.packets = 0
        """Pictures that are shown."""
        self.end = 0

    async def consume(self, chunks: Chunks) -> None:
        """Take ffprobe's output."""
        async for line in lines_of(chunks):
            pts, dts, duration, flags, *_ = [*line.split(","), "", "", "", ""]
            time = _ticks(dts if pts == "N/A" else pts)
            if time is not None:
                self._take(time, _ticks(dts), _ticks(duration) or 0, flags)

    def _take(self, pts: int, dts: int | None, duration: int, flags: str) -> None:
        # D: an edit list discards the picture. It is decoded, perhaps because those after it need it, and
        # not shown.
        shown = "D" not in flags
        if "K" in flags and (shown or not self._key_frames):
            self._key_frames.append(KeyFrame(pts=pts, dts=pts if dts is None else dts))
        if shown:
            self._show(pts, duration)

    def _show(self, pts: int, duration: int) -> None:
        self.packets += 1
        if self.packets > self._max_packets:
            raise UnsupportedMediaError(f"The video has more than {self._max_packets} frames.")
        self._first = pts if self._first is None else min(self._first, pts)
        # Pictures before the first key frame lean on some that are not in the file.
        if self._key_frames and pts >= self._key_frames[0].pts:
            self._start = pts if self._start is None else min(self._start, pts)
        self.end = max(self.end, pts + duration)
        if len(self._early) < _GAP_SAMPLE:
            self._early.append(pts)

    @property
    def start(self) -> int:
        """When the first picture that can be decoded is shown, in ticks."""
        start = self._first if self._start is None else self._start
        assert start is not None
        return start

    @property
    def key_frames(self) -> tuple[KeyFrame, ...]:
        """Where decoding can begin: at least at the beginning, for streams refreshed by intra blocks."""
        found = sorted(self._key_frames, key=lambda key: key.pts)
        return tuple(found or [KeyFrame(pts=self.start, dts=self.start)])

    @property
    def typical_gap(self) -> int:
        """Median distance of neighbouring frames at the beginning, in ticks; 0 for a single frame."""
        times = sorted(self._early)
        gaps = [after - before for before, after in pairwise(times) if after > before]
        return int(median(gaps)) if gaps else 0


def _ticks(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # N/A, or a line of another kind
        return None


def _video_facts(stream: dict[str, Any], packets: _PacketScan) -> VideoFacts:
    width, height = _displayed_size(stream)
    num, den = (int(part) for part in stream["time_base"].split("/"))
    return VideoFacts(
        codec=stream.get("codec_name", "unknown"),
        width=width,
        height=height,
        time_base=Rational(num=num, den=den),
        start=packets.start,
        end=max(packets.end, packets.start + 1),
        packets=packets.packets,
        typical_gap=packets.typical_gap,
        key_frames=packets.key_frames,
    )


def _displayed_size(stream: dict[str, Any]) -> tuple[int, int]:
    """Width and height with square pixels, turned upright."""
    width, height = int(stream["width"]), int(stream["height"])
    num, _, den = stream.get("sample_aspect_ratio", "1:1").partition(":")
    if num.isdigit() and den.isdigit() and int(num) and int(den):
        width = max(1, round(width * int(num) / int(den)))
    turns = round(_rotation(stream) / 90) % 4
    return (height, width) if turns in {1, 3} else (width, height)


def _rotation(stream: dict[str, Any]) -> float:
    data = stream.get("side_data_list", [])
    return next((float(entry["rotation"]) for entry in data if "rotation" in entry), 0.0)


def _audio_facts(streams: list[dict[str, Any]]) -> tuple[AudioFacts, ...]:
    sounds = [stream for stream in streams if stream.get("codec_type") == "audio"]
    playable = [
        AudioFacts(
            index=index,
            codec=stream["codec_name"],
            channels=int(stream["channels"]),
            language=known_language(_tag(stream, "language")),
            title=_tag(stream, "title"),
            default=bool(_disposition(stream).get("default")),
            role=_role(stream),
        )
        for index, stream in enumerate(sounds)
        if stream.get("codec_name", "unknown") != "unknown" and int(stream.get("channels", 0))
    ]
    return tuple(playable[:_MAX_AUDIO_TRACKS])


def _role(stream: dict[str, Any]) -> SoundRole:
    disposition = _disposition(stream)
    if disposition.get("comment"):
        return SoundRole.COMMENTARY
    return SoundRole.DESCRIPTION if disposition.get("visual_impaired") else SoundRole.PROGRAMME


def _tag(stream: dict[str, Any], name: str) -> str:
    return str(stream.get("tags", {}).get(name, ""))


def _disposition(stream: dict[str, Any]) -> dict[str, Any]:
    return dict(stream.get("disposition", {}))


def _check_length(video: VideoFacts, bounds: Bounds) -> None:
    if video.duration_s > bounds.duration_s:
        raise UnsupportedMediaError(
            f"The video claims to last {video.duration_s / 3600:.1f} hours; "
            f"{bounds.duration_s / 3600:.0f} are allowed."
        )
    if video.duration_s > _GRACE_S + _MAX_MEAN_GAP_S * video.packets:
        raise UnsupportedMediaError(
            f"The video claims to last {video.duration_s:.0f} s but has only {video.packets} pictures."
        )
