"""The MPD, the manifest of DASH. Pure.

Source: ISO/IEC 23009-1.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from math import ceil
from typing import Final
from xml.etree import ElementTree as ET

from services.shared.captions import Caption
from services.shared.filenames import init_file, segment_template
from services.shared.manifest.presentation import AUDIO_CHANNELS, Presentation, Track, sound_title
from services.shared.plan import Plan
from services.shared.storyboard import Storyboard, sheet_template
from services.shared.tracks import AUDIO_RATE_HZ, AudioTrack, Rendition, SoundRole

_AVAILABLE_SINCE: Final = "1970-01-01T00:00:00Z"
_UPDATE_PERIOD: Final = "PT1S"
_TIME_STATED: Final = "urn:mpeg:dash:utc:direct:2014"
_BUFFER_TIME: Final = "PT4S"
_AUDIO_PURPOSE: Final = "urn:tva:metadata:cs:AudioPurposeCS:2007"
_FOR_VISUALLY_IMPAIRED: Final = "1"
_TILES: Final = "http://dashif.org/guidelines/thumbnail_tile"
_FIRST_TEXT_ID: Final = 1000
_PICTURES_ID: Final = 2000
_VIDEO_IDS: Final = {"avc1": 0, "hvc1": 3001, "vp09": 3002, "av01": 3003}
"""Of the sets of pictures by their kind of codec: the same in each manifest of a video that grows."""
_VIDEO_PRIORITIES: Final = {"avc1": 1, "vp09": 2, "hvc1": 3, "av01": 4}
"""Who offers several kinds does so to save bits: players that can should take the one that needs least."""
_ALIGNED: Final = {"segmentAlignment": "true", "startWithSAP": "1"}


def mpd(shown: Presentation, published_at_ms: int) -> bytes:
    """The MPD: static when the video is complete, else dynamic with a timeline that grows."""
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
    if shown.promised():
        _begin_low(root, shown)
    period = ET.SubElement(root, "Period", id="0", start="PT0S")
    _video_sets(period, shown)
    for number, (audio, track) in enumerate(shown.audio()):
        _audio_set(period, shown.plan, audio, track, main=number == 0)
    for number, (caption, title) in enumerate(shown.texts()):
        _text_set(period, shown, caption, title, number)
    if shown.storyboard:
        _picture_set(period, shown, shown.storyboard)
    if not shown.available.complete:
        # Any time at all will do, with everything available since 1970. But a player that is told none asks a
        # server of its maker's choice, and strangers need not know what is watched here.
        ET.SubElement(root, "UTCTiming", schemeIdUri=_TIME_STATED, value=_moment(published_at_ms))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _begin_low(root: ET.Element, shown: Presentation) -> None:
    """Advise players (dash.js heeds it) to begin with what is there, not to wait for something better."""
    lowest = next(track for _, track in shown.video())
    service = ET.SubElement(root, "ServiceDescription", id="0")
    ET.SubElement(service, "OperatingBandwidth", mediaType="video", target=str(lowest.bandwidth))


def _liveness(shown: Presentation, published_at_ms: int) -> dict[str, str]:
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


def _video_sets(period: ET.Element, shown: Presentation) -> None:
    """One set per kind of codec: within a set players switch, between sets they choose once."""
    kinds: dict[str, list[tuple[Rendition, Track]]] = {}
    for rendition, track in shown.video():
        kinds.setdefault(track.codec.partition(".")[0], []).append((rendition, track))
    for kind, tracks in kinds.items():
        priority = {"selectionPriority": str(_VIDEO_PRIORITIES[kind])} if len(kinds) > 1 else {}
        attributes = {"contentType": "video", "mimeType": "video/mp4", **_ALIGNED, **priority}
        group = ET.SubElement(period, "AdaptationSet", {"id": str(_VIDEO_IDS[kind]), **attributes})
        _fill_video_set(group, shown.plan, tracks)


def _fill_video_set(group: ET.Element, plan: Plan, tracks: list[tuple[Rendition, Track]]) -> None:
    for rendition, track in tracks:
        representation = _representation(group, track)
        representation.set("width", str(rendition.width))
        representation.set("height", str(rendition.height))
        representation.set("frameRate", _frame_rate(plan))
        representation.set("sar", "1:1")
        _segment_template(representation, plan, track)


def _audio_set(period: ET.Element, plan: Plan, audio: AudioTrack, track: Track, *, main: bool) -> None:
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
    ET.SubElement(group, "Label").text = sound_title(audio)
    if audio.role is SoundRole.DESCRIPTION:
        ET.SubElement(group, "Accessibility", schemeIdUri=_AUDIO_PURPOSE, value=_FOR_VISUALLY_IMPAIRED)
    ET.SubElement(group, "Role", schemeIdUri="urn:mpeg:dash:role:2011", value=_sound_role(audio, main=main))
    representation = _representation(group, track)
    representation.set("audioSamplingRate", str(AUDIO_RATE_HZ))
    scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"
    ET.SubElement(representation, "AudioChannelConfiguration", schemeIdUri=scheme, value=str(AUDIO_CHANNELS))
    _segment_template(representation, plan, track)


def _sound_role(audio: AudioTrack, *, main: bool) -> str:
    if audio.role is SoundRole.COMMENTARY:
        return "commentary"
    return "main" if main else "alternate"


def _text_set(period: ET.Element, shown: Presentation, caption: Caption, title: str, number: int) -> None:
    group = ET.SubElement(
        period,
        "AdaptationSet",
        {
            "id": str(_FIRST_TEXT_ID + number),
            "contentType": "text",
            "mimeType": "text/vtt",
            "lang": caption.language,
        },
    )
    ET.SubElement(group, "Label").text = title
    ET.SubElement(group, "Role", schemeIdUri="urn:mpeg:dash:role:2011", value="subtitle")
    bandwidth = str(ceil(8 * caption.size_bytes / shown.duration))
    representation = ET.SubElement(group, "Representation", id=caption.track, bandwidth=bandwidth)
    ET.SubElement(representation, "BaseURL").text = caption.file


def _picture_set(period: ET.Element, shown: Presentation, board: Storyboard) -> None:
    """Sheets of pictures, as DASH-IF's guidelines (IOP 4.3, 6.2.6) have them."""
    group = ET.SubElement(
        period,
        "AdaptationSet",
        {"id": str(_PICTURES_ID), "contentType": "image", "mimeType": "image/jpeg"},
    )
    sheet_ticks = shown.picture_ticks(board) * board.per_sheet
    ET.SubElement(
        group,
        "SegmentTemplate",
        timescale=str(shown.plan.timescale),
        duration=str(sheet_ticks),
        media=sheet_template(shown.plan.generation),
        startNumber="0",
    )
    representation = ET.SubElement(
        group,
        "Representation",
        id="storyboard",
        bandwidth=str(ceil(8 * board.size_bytes / shown.duration)),
        width=str(board.columns * board.tile_width),
        height=str(board.rows * board.tile_height),
    )
    ET.SubElement(
        representation, "EssentialProperty", schemeIdUri=_TILES, value=f"{board.columns}x{board.rows}"
    )


def _representation(group: ET.Element, track: Track) -> ET.Element:
    return ET.SubElement(
        group, "Representation", id=track.name, codecs=track.codec, bandwidth=str(track.bandwidth)
    )


def _segment_template(representation: ET.Element, plan: Plan, track: Track) -> None:
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
