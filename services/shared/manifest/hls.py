"""HLS playlists: the master playlist and one media playlist per track. Pure.

Source: RFC 8216.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Final

from services.shared.captions import Caption
from services.shared.filenames import init_file, playlist_file, segment_file
from services.shared.manifest.presentation import AUDIO_CHANNELS, Presentation, Track, sound_title
from services.shared.storyboard import Storyboard, sheet_file
from services.shared.tracks import AudioTrack, Rendition, SoundRole

STORYBOARD_PLAYLIST: Final = playlist_file("storyboard")
_AUDIO_GROUP: Final = "audio"
_TEXT_GROUP: Final = "text"
_DESCRIBES_VIDEO: Final = "public.accessibility.describes-video"
_MICROSECONDS: Final = 1_000_000
_HLS_HEADER: Final = ("#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS")


def master(shown: Presentation) -> bytes:
    """The playlist of playlists: every rendition with the sound that belongs to it."""
    audio = [*shown.audio()]
    lines = [*_HLS_HEADER]
    lines += [_audio_line(number, sound) for number, (sound, _) in enumerate(audio)]
    lines += [_text_line(caption, title) for caption, title in shown.texts()]
    for rendition, track in shown.video():
        lines += [_variant_line(shown, rendition, track, [sound for _, sound in audio])]
        lines += [playlist_file(track.name)]
    if shown.storyboard:
        lines += [_pictures_line(shown, shown.storyboard)]
    return _text(lines)


def _audio_line(number: int, audio: AudioTrack) -> str:
    fields = [
        "TYPE=AUDIO",
        f'GROUP-ID="{_AUDIO_GROUP}"',
        f'NAME="{sound_title(audio)}"',
        f'LANGUAGE="{audio.language}"',
        f"DEFAULT={'NO' if number else 'YES'}",
        # What a player may choose by itself, going by its user's languages and needs.
        f"AUTOSELECT={'NO' if audio.role is SoundRole.COMMENTARY else 'YES'}",
        f'CHANNELS="{AUDIO_CHANNELS}"',
    ]
    if audio.role is SoundRole.DESCRIPTION:
        fields += [f'CHARACTERISTICS="{_DESCRIBES_VIDEO}"']
    return "#EXT-X-MEDIA:" + ",".join([*fields, f'URI="{playlist_file(audio.name)}"'])


def _text_line(caption: Caption, title: str) -> str:
    fields = (
        "TYPE=SUBTITLES",
        f'GROUP-ID="{_TEXT_GROUP}"',
        f'NAME="{title}"',
        f'LANGUAGE="{caption.language}"',
        "DEFAULT=NO",
        "AUTOSELECT=YES",
        f'URI="{playlist_file(caption.track)}"',
    )
    return "#EXT-X-MEDIA:" + ",".join(fields)


def _pictures_line(shown: Presentation, board: Storyboard) -> str:
    """Not in the standard: an extension by Roku that others have taken up; players that have not skip it."""
    fields = (
        f"BANDWIDTH={ceil(8 * board.size_bytes / shown.duration)}",
        f"RESOLUTION={board.tile_width}x{board.tile_height}",
        'CODECS="jpeg"',
        f'URI="{STORYBOARD_PLAYLIST}"',
    )
    return "#EXT-X-IMAGE-STREAM-INF:" + ",".join(fields)


def _variant_line(shown: Presentation, rendition: Rendition, video: Track, audio: list[Track]) -> str:
    fps = Fraction(shown.plan.fps.num, shown.plan.fps.den)
    codecs = ",".join(dict.fromkeys(track.codec for track in (video, *audio)))
    fields = [f"BANDWIDTH={video.bandwidth + max((track.bandwidth for track in audio), default=0)}"]
    if (average := shown.average_bandwidth(video.name)) is not None:
        average += max((shown.average_bandwidth(track.name) or 0 for track in audio), default=0)
        fields += [f"AVERAGE-BANDWIDTH={average}"]
    fields += [
        f'CODECS="{codecs}"',
        f"RESOLUTION={rendition.width}x{rendition.height}",
        f"FRAME-RATE={float(fps):.3f}",
    ]
    if audio:
        fields += [f'AUDIO="{_AUDIO_GROUP}"']
    if shown.captions:
        fields += [f'SUBTITLES="{_TEXT_GROUP}"']
    return "#EXT-X-STREAM-INF:" + ",".join(fields)


def playlist(shown: Presentation, track: Track) -> bytes:
    """A track's segments: of type VOD when the video is complete, else EVENT, which grows."""
    complete, generation = shown.available.complete, shown.plan.generation
    lines = [
        *_HLS_HEADER,
        f"#EXT-X-TARGETDURATION:{round(track.nominal / track.timescale)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if complete else 'EVENT'}",
    ]
    if not complete:
        # Without it a player begins near the end of what there is, as for a live broadcast.
        lines += ["#EXT-X-START:TIME-OFFSET=0,PRECISE=YES"]
    lines += [f'#EXT-X-MAP:URI="{init_file(track.name, generation)}"']
    times_us = [round(Fraction(tick * _MICROSECONDS, track.timescale)) for tick in track.bounds]
    for number, (start_us, end_us) in enumerate(pairwise(times_us)):
        lines += [f"#EXTINF:{(end_us - start_us) / _MICROSECONDS:.6f},"]
        lines += [segment_file(track.name, generation, number)]
    return _text([*lines, "#EXT-X-ENDLIST"] if complete else lines)


def text_playlist(shown: Presentation, caption: Caption) -> bytes:
    """Captions: one file, from the beginning to the end."""
    complete = shown.available.complete
    lines = [
        *_HLS_HEADER,
        f"#EXT-X-TARGETDURATION:{ceil(shown.duration)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if complete else 'EVENT'}",
        f"#EXTINF:{float(shown.duration):.6f},",
        caption.file,
    ]
    return _text([*lines, "#EXT-X-ENDLIST"] if complete else lines)


def picture_playlist(shown: Presentation, board: Storyboard) -> bytes:
    """The sheets of a storyboard; the last one stands for no more than is left of the video."""
    picture = Fraction(shown.picture_ticks(board), shown.plan.timescale)
    sheet = picture * board.per_sheet
    tiles = (
        f"RESOLUTION={board.tile_width}x{board.tile_height}",
        f"LAYOUT={board.columns}x{board.rows}",
        f"DURATION={float(picture):.6f}",
    )
    lines = [
        *_HLS_HEADER,
        "#EXT-X-IMAGES-ONLY",
        f"#EXT-X-TARGETDURATION:{ceil(sheet)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
    ]
    for number in range(board.sheets):
        lasts = min(sheet, shown.duration - number * sheet)
        lines += [f"#EXTINF:{float(lasts):.6f},", f"#EXT-X-TILES:{','.join(tiles)}"]
        lines += [sheet_file(shown.plan.generation, number)]
    return _text([*lines, "#EXT-X-ENDLIST"])


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
