"""Ways to look at a source without encoding it."""

from __future__ import annotations

from typing import Final

from services.transcoder.command.inputs import Input

_FRAME_ENTRIES: Final = (
    "pict_type",
    "pix_fmt",
    "interlaced_frame",
    "color_range",
    "color_space",
    "color_primaries",
    "color_transfer",
)


def probe_streams(source: Input) -> list[str]:
    """Ffprobe: container, streams, and which of them belong together, as JSON."""
    return _ffprobe(source, "-show_format", "-show_programs", "-show_streams", "-of", "json")


def probe_frames(source: Input, stream: int, places: str) -> list[str]:
    """Ffprobe: pictures of a video stream decoded at some places, as JSON: how they want to be shown.

    With them come the packets they are in, and what is attached to those.

    Args:
        source: where to read.
        stream: its position in the file.
        places: which packets to decode, in the syntax of ffprobe's `-read_intervals`.
    """
    frames = f"frame={','.join(_FRAME_ENTRIES)}:frame_side_data=max_content,max_luminance"
    entries = f"packet=flags:packet_side_data=side_data_type:{frames}"
    select = ("-select_streams", str(stream), "-read_intervals", places)
    return _ffprobe(source, *select, "-show_entries", entries, "-of", "json")


def probe_packets(source: Input) -> list[str]:
    """Ffprobe: one line `pts,dts,duration,size,flags` per packet of the main video, in decoding order."""
    entries = ("-show_entries", "packet=pts,dts,duration,size,flags", "-of", "csv=p=0")
    return _ffprobe(source, "-select_streams", "V:0", *entries)


def probe_first_packets(source: Input, count: int) -> list[str]:
    """Ffprobe: the same for so many packets from the beginning."""
    program, *rest = probe_packets(source)
    return [program, "-read_intervals", f"%+#{count}", *rest]


def probe_sound(source: Input, *, from_s: float) -> list[str]:
    """Ffprobe: one line `pts,duration` in seconds per packet of sound, from a moment on."""
    entries = ("-show_entries", "packet=pts_time,duration_time", "-of", "csv=p=0")
    return _ffprobe(source, "-select_streams", "a", "-read_intervals", f"{from_s:.3f}%", *entries)


def probe_clock(source: Input) -> list[str]:
    """Ffprobe: one line `stream,dts,duration` in seconds per packet of any stream, in the file's order."""
    return _ffprobe(source, "-show_entries", "packet=stream_index,dts_time,duration_time", "-of", "csv=p=0")


def _ffprobe(source: Input, *query: str) -> list[str]:
    options = (part for name, value in source.options.items() for part in (f"-{name}", str(value)))
    return ["ffprobe", "-hide_banner", "-v", "error", *options, *query, "-i", source.url]
