"""Find out what a source is, and refuse what is not a video that can be played."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from services.shared.errors import UnsupportedMediaError
from services.shared.plan import Rational
from services.transcoder import command
from services.transcoder.command import MAX_STREAMS, Input
from services.transcoder.look import Item, is_encrypted, look_of
from services.transcoder.packets import LatestEnd, PacketScan
from services.transcoder.process import USUAL, ExitError, Limits, collect, run
from services.transcoder.source import SOUND_MARGIN_S, Look, SourceInfo, Span, VideoFacts
from services.transcoder.streams import UNDECODABLE, Bounds, Header, displayed_size, lacks_size, read_header
from services.transcoder.timeline import seek_point

_MAX_OUTPUT_BYTES: Final = 4 * 1024 * 1024
_GRACE_S: Final = 600
_MAX_MEAN_GAP_S: Final = 60
"""A video may stand still for a while, but one that claims hours from a handful of packets is a trap."""

_BOUNDS: Final = Bounds()
_MAYBE_GRADUAL: Final = frozenset({"h264"})
_MAYBE_INTERLACED: Final = frozenset({"h264", "mpeg2video", "mpeg4", "vc1"})
"""Codecs of which each picture says by itself whether it is."""
_PACKETS_OF_A_PICTURE: Final = 2
"""At most: fields may be packed one by one."""
_ENCRYPTED: Final = "The video is encrypted (copy protection), so it cannot be decoded."
_FIRST_PACKETS: Final = 8
_MORE_PACKETS: Final = 400
"""Some sixteen seconds: broadcasts are recorded from anywhere between two key frames."""
_PACKETS_ELSEWHERE: Final = 64
_ELSEWHERE: Final = (0.25, 0.5, 0.75)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a short look at a source shows."""

    header: Header
    look: Look


async def probe(source: Input, *, bounds: Bounds = _BOUNDS, limits: Limits = USUAL) -> SourceInfo:
    """Look at a source: its streams, its first pictures, and all packets of its main video stream.

    Raises:
        UnsupportedMediaError: it is not a video that can be played; the message says why, for people.
        TransientJobError: a limit stopped ffprobe.
    """
    inspected = await inspect(source, bounds=bounds, limits=limits)
    return await survey(source, inspected, bounds=bounds, limits=limits)


async def inspect(source: Input, *, bounds: Bounds = _BOUNDS, limits: Limits = USUAL) -> Inspection:
    """Look at the file's header and its first pictures. Reads little, however long the file is.

    Raises:
        UnsupportedMediaError: it is not a video that can be played; the message says why, for people.
        TransientJobError: a limit stopped ffprobe.
    """
    return await look_into(source, await describe(source, bounds=bounds, limits=limits), limits=limits)


async def describe(source: Input, *, bounds: Bounds = _BOUNDS, limits: Limits = USUAL) -> Header:
    """Look at the file's header alone; raises as `inspect` does."""
    described = await _described(source, limits)
    if lacks_size(described):
        source = replace(source, patient=True)
        described = await _described(source, limits)
    return replace(read_header(described, bounds), patient=source.patient)


async def look_into(source: Input, header: Header, *, limits: Limits = USUAL) -> Inspection:
    """Look at the first pictures of a file whose header is known; raises as `inspect` does."""
    source = replace(source, patient=header.patient)
    return Inspection(header=header, look=await _look(source, header, limits))


async def survey(
    source: Input, inspected: Inspection, *, bounds: Bounds = _BOUNDS, limits: Limits = USUAL
) -> SourceInfo:
    """All that planning needs. Reads the video's packets from first to last.

    Raises:
        UnsupportedMediaError: it is not a video that can be played; the message says why, for people.
        TransientJobError: a limit stopped ffprobe.
    """
    packets = await _scan(source, bounds, limits)
    header, video = inspected.header, _video_facts(inspected, packets)
    video = replace(video, gradual=await _is_gradual(source, header, video, limits))
    video = replace(video, look=await _later_look(source, header, video, limits))
    info = info_of(header, video, sound=await _sound(source, header, video, limits))
    check_length(info, bounds)
    return info


async def _described(source: Input, limits: Limits) -> dict[str, Any]:
    try:
        said = await collect(command.probe_streams(source), limits=limits, max_bytes=_MAX_OUTPUT_BYTES)
    except ExitError as error:
        raise UnsupportedMediaError(_unreadable(error.stderr)) from error
    return dict(json.loads(said))


def info_of(header: Header, video: VideoFacts, *, sound: Span | None) -> SourceInfo:
    """What is known of a source, put together."""
    return SourceInfo(
        format_name=header.format_name, video=video, audio=header.audio, texts=header.texts, sound=sound
    )


def _unreadable(stderr: str) -> str:
    if "not on whitelist" in stderr:
        return (
            "This kind of file is not accepted: it is a list of other files, or of an unknown container. "
            "MP4, MOV, Matroska, WebM, MPEG-TS, MPEG-PS, AVI, FLV, OGG, ASF and MXF are known."
        )
    if "max_streams" in stderr:
        return f"The file has more than {MAX_STREAMS} streams."
    return "This is not a video file that can be read: it is empty, damaged, or something else."


async def _look(source: Input, header: Header, limits: Limits) -> Look:
    """Decode the first pictures; where they cannot be, more of them, and some elsewhere in the file.

    That is bounded, so that a long file that cannot be decoded is refused as soon as a short one.
    """
    for places in (f"%+#{_FIRST_PACKETS}", _more_places(header.duration_s)):
        items = await _decoded(source, header.places[0], places, limits)
        if is_encrypted(items):  # although something may be decoded: noise
            raise UnsupportedMediaError(_ENCRYPTED)
        look = look_of(items)
        if look is not None:
            return look
    raise UnsupportedMediaError(UNDECODABLE)


def _more_places(duration_s: float | None) -> str:
    elsewhere = [f"{duration_s * part:.3f}%+#{_PACKETS_ELSEWHERE}" for part in _ELSEWHERE if duration_s]
    return ",".join([f"%+#{_MORE_PACKETS}", *elsewhere])


async def _decoded(source: Input, stream: int, places: str, limits: Limits) -> Sequence[Item]:
    arguments = command.probe_frames(source, stream, places)
    try:
        said = await collect(arguments, limits=limits, max_bytes=_MAX_OUTPUT_BYTES)
    except ExitError:
        return []
    return list(json.loads(said).get("packets_and_frames", []))


async def _scan(source: Input, bounds: Bounds, limits: Limits) -> PacketScan:
    packets = PacketScan(bounds.packets)
    try:
        await run(command.probe_packets(source), packets.consume, limits=limits)
    except ExitError as error:
        raise UnsupportedMediaError(_unreadable(error.stderr)) from error
    if not packets.packets:
        raise UnsupportedMediaError("The file's video stream is empty.")
    return packets


def _video_facts(inspected: Inspection, packets: PacketScan) -> VideoFacts:
    stream = inspected.header.video
    width, height = displayed_size(stream)
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
        look=inspected.look,
        open_ended=packets.open_ended,
    )


async def _is_gradual(source: Input, header: Header, video: VideoFacts, limits: Limits) -> bool:
    """Whether decoding from a key frame in the middle yields no whole picture at once.

    To be wrong costs time only: of a damaged source, pieces begin to decode earlier than they would have to.
    """
    begin_s = seek_point(video, len(video.key_frames) // 2)
    if begin_s is None or video.codec not in _MAYBE_GRADUAL:
        return False
    items = await _decoded(source, header.places[0], f"{begin_s}%+#{_PACKETS_OF_A_PICTURE}", limits)
    return not any(item.get("pict_type") == "I" for item in items)


async def _later_look(source: Input, header: Header, video: VideoFacts, limits: Limits) -> Look:
    """The look of the first pictures, and whether some elsewhere are woven from fields.

    A broadcast may begin with pictures that are not. What is treated as if it were costs time only.
    """
    look = video.look
    if look.interlaced or video.codec not in _MAYBE_INTERLACED:
        return look
    places = (f"{video.start_s + video.duration_s * part:.3f}%+#{_FIRST_PACKETS}" for part in _ELSEWHERE)
    later = look_of(await _decoded(source, header.places[0], ",".join(places), limits))
    return replace(look, interlaced=later is not None and later.interlaced)


async def _sound(source: Input, header: Header, video: VideoFacts, limits: Limits) -> Span | None:
    """When there is sound. That it goes on after the pictures is believed only if its packets are there."""
    claimed = header.sound
    if claimed is None or claimed.end_s <= video.end_s + SOUND_MARGIN_S:
        return claimed
    last = LatestEnd()
    try:
        await run(command.probe_sound(source, from_s=video.end_s), last.consume, limits=limits)
    except ExitError:
        return Span(start_s=claimed.start_s, end_s=video.end_s)
    return Span(start_s=claimed.start_s, end_s=max(video.end_s, last.seconds))


def check_length(info: SourceInfo, bounds: Bounds) -> None:
    """Refuse what is too long, or claims to be.

    Raises:
        UnsupportedMediaError: it is; the message says so, for people.
    """
    video, sound = info.video, info.sound
    duration_s = video.duration_s
    if sound is not None:
        duration_s = max(video.end_s, sound.end_s) - min(video.start_s, sound.start_s)
    if duration_s > bounds.duration_s:
        raise UnsupportedMediaError(
            f"The video claims to last {duration_s / 3600:.1f} hours; "
            f"{bounds.duration_s / 3600:.0f} are allowed."
        )
    if video.duration_s > _GRACE_S + _MAX_MEAN_GAP_S * video.packets:
        raise UnsupportedMediaError(
            f"The video claims to last {video.duration_s:.0f} s but has only {video.packets} pictures."
        )
