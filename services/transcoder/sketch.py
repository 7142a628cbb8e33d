"""What a source is like, from its header and its first packets alone.

Planning needs the whole list of packets, and to read that is to read the file: a viewer of a film of two
hours would wait for it. The beginning of a video can be planned without, as long as its pictures come at a
steady rate. What is assumed here is checked when all of the file has been looked at: see
`services.transcoder.survey`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from services.shared.plan import Rational
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.packets import PacketScan
from services.transcoder.probe import Inspection, check_length, info_of
from services.transcoder.process import ExitError, Limits, run
from services.transcoder.source import SourceInfo, VideoFacts
from services.transcoder.streams import Bounds, displayed_size
from services.transcoder.timeline import is_steady

_PACKETS: Final = 256
_HANDFUL: Final = 60
_LEAST_S: Final = 60.0
"""A shorter video is looked at as a whole in no time."""


async def sketch(
    source: Input, inspected: Inspection, *, bounds: Bounds, limits: Limits
) -> SourceInfo | None:
    """The source as its beginning shows it; None where that is not to be relied upon.

    Raises:
        UnsupportedMediaError: it claims to be too long.
        TransientJobError: a limit stopped ffprobe.
    """
    told_s = _length_s(inspected)
    if told_s is None or told_s < _LEAST_S:
        return None
    scan = PacketScan(2 * _PACKETS)
    try:
        await run(command.probe_first_packets(source, _PACKETS), scan.consume, limits=limits)
    except ExitError:
        return None
    # A handful of pictures that last for hours is no film, and all of it was seen just now.
    video = _facts(inspected, scan, told_s) if scan.packets > _HANDFUL else None
    if video is None or not is_steady(video):
        return None
    info = info_of(inspected.header, video, sound=inspected.header.sound)
    check_length(info, bounds)
    return info


def _length_s(inspected: Inspection) -> Fraction | None:
    """Seconds that the header promises: of the video stream, or else of the file."""
    stream = inspected.header.video
    if stream.get("duration_ts"):
        return int(stream["duration_ts"]) * Fraction(stream["time_base"])
    whole_s = inspected.header.duration_s
    return None if whole_s is None else Fraction(whole_s).limit_denominator(1_000_000)


def _facts(inspected: Inspection, scan: PacketScan, length_s: Fraction) -> VideoFacts | None:
    stream = inspected.header.video
    tick = Fraction(stream["time_base"])
    packets = _packets(stream, length_s)
    if packets is None:
        return None
    width, height = displayed_size(stream)
    return VideoFacts(
        codec=stream.get("codec_name", "unknown"),
        width=width,
        height=height,
        time_base=Rational(num=tick.numerator, den=tick.denominator),
        start=scan.start,
        end=max(scan.end, scan.start + round(length_s / tick)),
        packets=packets,
        typical_gap=scan.typical_gap,
        key_frames=scan.key_frames,
        look=inspected.look,
    )


def _packets(stream: Mapping[str, Any], length_s: Fraction) -> int | None:
    """How many pictures there are: MP4 tells, and Matroska mostly tells how long each one is shown."""
    if stream.get("nb_frames"):
        return int(stream["nb_frames"])
    num, _, den = str(stream.get("avg_frame_rate", "")).partition("/")
    if not (num.isdigit() and den.isdigit() and int(num) and int(den)):
        return None
    return round(length_s * Fraction(int(num), int(den)))
