"""What can be played of a video: renditions of its pictures, and sound tracks. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.shared.encoding import Encoding
from services.shared.record import Record

AUDIO_RATE_HZ: Final = 48_000
AAC_FRAME_SAMPLES: Final = 1024
AAC_FRAMES_PER_SEGMENT: Final = 188
"""188 AAC frames of 1024 samples at 48 kHz are 4.0107 s, the audio's segment length."""


class Rendition(Record):
    """One rung of the ladder."""

    name: str
    width: int
    height: int
    bitrate: int
    """Bits per second: the cap while encoding; the measured peak segment rate once the video is ready."""
    codec: str = ""
    """RFC 6381, e.g. `avc1.64001f`. Until the video is ready: as planned, which is exact where the level was
    planned as well, else that of small pictures by the same encoder. Empty in plans made before there was a
    choice."""
    encoding: Encoding = Encoding()
    begun: bool = True
    """Whether its first segment is there. Manifests tell of it earlier: nobody should choose it before."""

    @property
    def buffer_bits(self) -> int:
        """By how much the cap may be exceeded at once: a second and a half of it."""
        return self.bitrate * 3 // 2


class SoundRole(StrEnum):
    """What a sound track is for."""

    PROGRAMME = "programme"
    """The video's own sound, in one of its languages."""
    COMMENTARY = "commentary"
    DESCRIPTION = "description"
    """With words for people who cannot see the pictures."""


class AudioTrack(Record):
    """One audio stream of the source. `index` counts the source's audio streams from 0."""

    index: int
    language: str = "und"
    """A tag as manifests and browsers want it, see `services.shared.languages`."""
    title: str = ""
    """For menus; no two tracks of a video have the same one."""
    role: SoundRole = SoundRole.PROGRAMME
    duration_samples: int
    """Length on the 48 kHz output timeline, in samples per channel."""
    may_vary: bool = False
    """Whether the number of channels may change on the way: each packet of the source says how many."""
    averaged: int = 0
    """The mean of so many channels, from the first one on, is heard; 0: it is known where they belong."""

    @property
    def name(self) -> str:
        """Its name in file names and playlists."""
        return f"a{self.index}"
