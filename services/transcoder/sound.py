"""Which sound tracks a video gets, in which order, and what menus call them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.shared.languages import distinct_titles
from services.shared.tracks import AudioTrack, SoundRole
from services.transcoder.source import UNKNOWN, AudioFacts

_SELF_DESCRIBING: Final = frozenset({"ac3", "eac3", "dts", "mp1", "mp2", "mp3", "truehd", "mlp"})
"""Codecs whose packets stand for themselves: in broadcasts, a film in 5.1 follows a trailer in stereo."""
_GUESSED_CHANNELS: Final = 8
"""Of so many, ffmpeg knows where they mostly belong."""
_AMBISONIC: Final = "ambisonic"
_LISTED: Final = " channels ("


def sound_tracks(streams: Sequence[AudioFacts], *, duration_samples: int) -> tuple[AudioTrack, ...]:
    """The tracks in the order of menus. Players begin with the first.

    That is the one which the source wants to be heard first; comments and descriptions stand behind all of
    the video's own sound, whatever the source says.

    Args:
        streams: of the source.
        duration_samples: length of the video, which all tracks get, at 48 kHz.
    """
    ordered = sorted(streams, key=_place)
    titles = distinct_titles([(stream.title, stream.language) for stream in ordered], otherwise="Sound")
    return tuple(
        AudioTrack(
            index=stream.index,
            language=stream.language,
            title=title,
            role=stream.role,
            duration_samples=duration_samples,
            may_vary=stream.codec in _SELF_DESCRIBING,
            averaged=_averaged(stream),
        )
        for stream, title in zip(ordered, titles, strict=True)
    )


def _place(stream: AudioFacts) -> tuple[bool, bool, int]:
    return stream.role is not SoundRole.PROGRAMME, not stream.default, stream.index


def _averaged(stream: AudioFacts) -> int:
    """How many channels have to be averaged, since ffmpeg knows no way from them to stereo; 0: it does.

    Of a sphere (ambisonics), the first channel is what is heard from everywhere.
    """
    if stream.layout.startswith(_AMBISONIC):
        return 1
    unplaced = stream.layout == UNKNOWN and stream.channels > _GUESSED_CHANNELS
    return stream.channels if unplaced or _LISTED in stream.layout else 0
