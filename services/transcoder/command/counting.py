"""A look at what was encoded, from its own bytes."""

from __future__ import annotations

from typing import Final

_CONTAINER: Final = "mov"


def count_frames() -> list[str]:
    """Ffprobe: decode the one track of an MP4 that comes on standard input, and print how many frames it has.

    Whatever the decoder complains of goes to standard error; it decodes on.
    """
    opening = (
        "-protocol_whitelist",
        "pipe",
        "-format_whitelist",
        _CONTAINER,
        "-f",
        _CONTAINER,
        "-threads",
        "1",
    )
    query = ("-count_frames", "-select_streams", "0", "-show_entries", "stream=nb_read_frames")
    return ["ffprobe", "-hide_banner", "-v", "error", *opening, *query, "-of", "csv=p=0", "-i", "pipe:0"]
