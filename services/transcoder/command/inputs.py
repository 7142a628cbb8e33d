"""What ffmpeg may open, and how: the limits that hold for every program that reads a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

PROBE_FORMATS: Final = "mov,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,mxf"
"""Containers that may be opened. Playlist formats (hls, concat, dash) are kept out: they make ffmpeg read
other files, or send requests, for whoever uploaded them, whatever the protocol whitelist says."""

MAX_STREAMS: Final = 32
MAX_PIXELS: Final = 8192 * 4608
"""Per picture; also bounds the memory of a decoder fed with a tiny file that claims a huge picture."""

_PATIENCE: Final = {"analyzeduration": 60_000_000, "probesize": 64 << 20}
"""How far to read at most until the streams are known: microseconds, bytes."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """Where the source's bytes are: an `http://` address or a local path, and the formats it may have."""

    location: str
    formats: str = PROBE_FORMATS
    patient: bool = False
    """Whether to read far until the streams are known: a broadcast may have a picture every few seconds."""

    @property
    def options(self) -> dict[str, Any]:
        """What limits every program that opens it."""
        return {
            "protocol_whitelist": "http,tcp" if self._is_http else "file",
            "format_whitelist": self.formats,
            "max_pixels": MAX_PIXELS,
            "max_streams": MAX_STREAMS,
            **(_PATIENCE if self.patient else {}),
        }

    @property
    def url(self) -> str:
        """The location with its protocol spelt out, so that no path can be mistaken for another protocol."""
        return self.location if self._is_http else f"file:{self.location}"

    @property
    def _is_http(self) -> bool:
        return self.location.startswith("http://")
