"""Names of a video's files in the ring, and of those that players ask for. Pure."""

from __future__ import annotations

from typing import Final


def segment_file(track: str, generation: int, number: int) -> str:
    """File name of a media segment. `number` counts from 0."""
    return f"{track}-g{generation}-{number:05d}.m4s"


def segment_template(track: str, generation: int) -> str:
    """What `segment_file` says, as a DASH template that players fill in."""
    return f"{track}-g{generation}-$Number%05d$.m4s"


def init_file(track: str, generation: int) -> str:
    """File name of a track's initialisation segment."""
    return f"{track}-g{generation}-init.mp4"


PART_SUFFIX: Final = ".part"
"""What the names of the parts of originals end with, in whatever form."""


def source_part_file(number: int, *, stem: str = "source", take: int = 0) -> str:
    """File name of a part of a source.

    Args:
        number: of the part, from 0.
        stem: of the source.
        take: which request of a resumable upload has stored it, from 1; 0: the file came by a single request.
    """
    return f"{stem}-t{take}-{number:05d}{PART_SUFFIX}" if take else f"{stem}-{number:05d}{PART_SUFFIX}"


def poster_file(generation: int) -> str:
    """File name of the still picture shown before playback."""
    return f"poster-g{generation}.jpg"


MPD_FILE: Final = "manifest.mpd"
HLS_FILE: Final = "master.m3u8"
"""What players ask for. The ring is write-once, so the files in it carry the generation: `final_file`."""


def playlist_file(track: str) -> str:
    """File name of a track's HLS media playlist, as players ask for it."""
    return f"{track}.m3u8"


def final_file(name: str, generation: int, edition: str = "") -> str:
    """Name in the ring of the final manifest or playlist that players know as `name`.

    Args:
        name: of the manifest.
        generation: of the video.
        edition: of its manifests; empty: those with which it became ready.
    """
    stem, _, suffix = name.rpartition(".")
    return f"{stem}-g{generation}{edition and f'-{edition}'}.{suffix}"
