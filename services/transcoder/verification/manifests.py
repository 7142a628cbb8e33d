"""What stored manifests say against what the records say. Pure.

They are read as a player reads them, so it does not matter which version wrote them, and in what order; what
they say beside the tracks of pictures and sound is not looked at here.

Sources: ISO/IEC 23009-1 (DASH), RFC 8216 (HLS).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Final
from xml.etree import ElementTree as ET

from services.shared.filenames import HLS_FILE, MPD_FILE, init_file, playlist_file, segment_template
from services.shared.manifest.presentation import Presentation
from services.transcoder.verification.outline import Outline

_MPD: Final = "{urn:mpeg:dash:schema:mpd:2011}"
_DURATION: Final = re.compile(r"PT([\d.]+)S")
_MAX_SEGMENTS: Final = 1_000_000
_TOLERANCE_S: Final = Fraction(2, 1_000_000)
"""Decimal places end somewhere."""


def objection_to(name: str, text: bytes, shown: Presentation, outlines: Sequence[Outline]) -> str:
    """What is wrong with a manifest or playlist, in a sentence; empty: nothing, or it is of another kind.

    Args:
        name: as players know it, `manifest.mpd` and the like.
        text: its content.
        shown: the video, complete.
        outlines: its tracks.
    """
    if name == MPD_FILE:
        return _objection_to_mpd(text, shown, outlines)
    lines = text.decode(errors="replace").splitlines()
    if name == HLS_FILE:
        return _objection_to_master(lines, outlines)
    outline = next((outline for outline in outlines if playlist_file(outline.name) == name), None)
    return _objection_to_playlist(lines, outline) if outline else ""


def _objection_to_mpd(text: bytes, shown: Presentation, outlines: Sequence[Outline]) -> str:
    try:
        root = ET.fromstring(text)  # noqa: S314 - our own file, of bounded size; expat refuses entity bombs
        told = {track: _timeline(template) for track, template in _templates(root)}
    except (ET.ParseError, ValueError, KeyError) as error:
        return f"It cannot be read: {error}."
    if root.get("type") != "static":
        return "It says that the video is still growing."
    if not _is_duration(root.get("mediaPresentationDuration", ""), shown.duration):
        return f"It gives another duration than {float(shown.duration):.6f} s."
    if told.keys() != {outline.name for outline in outlines}:
        return f"It tells of the tracks {', '.join(sorted(told))}."
    wrong = [outline.name for outline in outlines if told[outline.name] != _expected(outline)]
    return f"It gives other segments of {', '.join(wrong)} than there are." if wrong else ""


def _templates(root: ET.Element) -> Iterator[tuple[str, ET.Element]]:
    """Tracks that have a timeline, by name; thumbnails and captions have none."""
    for representation in root.iter(f"{_MPD}Representation"):
        template = representation.find(f"{_MPD}SegmentTemplate")
        if template is not None and template.find(f"{_MPD}SegmentTimeline") is not None:
            yield representation.attrib["id"], template


def _timeline(template: ET.Element) -> tuple[str, str, int, tuple[int, ...]]:
    """Names of files, ticks per second, and where segments begin and end."""
    runs = template.findall(f"{_MPD}SegmentTimeline/{_MPD}S")
    counts = [1 + int(run.get("r", "0")) for run in runs]
    if not runs or sum(counts) > _MAX_SEGMENTS:
        raise ValueError(f"a timeline of {sum(counts)} segments")
    durations = [int(run.attrib["d"]) for run, count in zip(runs, counts, strict=True) for _ in range(count)]
    bounds = tuple(accumulate(durations, initial=int(runs[0].get("t", "0"))))
    names = (template.attrib["initialization"], template.attrib["media"])
    return (*names, int(template.attrib["timescale"]), bounds)


def _expected(outline: Outline) -> tuple[str, str, int, tuple[int, ...]]:
    track, generation = outline.track, outline.generation
    names = (init_file(track.name, generation), segment_template(track.name, generation))
    return (*names, track.timescale, track.bounds)


def _is_duration(told: str, duration: Fraction) -> bool:
    match = _DURATION.fullmatch(told)
    return match is not None and abs(Fraction(match[1]) - duration) <= _TOLERANCE_S


def _objection_to_master(lines: Sequence[str], outlines: Sequence[Outline]) -> str:
    told = {line for line in lines if not line.startswith("#")} | {
        *re.findall(r'URI="([^"]*)"', "\n".join(lines))
    }
    absent = [outline.name for outline in outlines if playlist_file(outline.name) not in told]
    return f"It does not tell of {', '.join(absent)}." if absent else ""


def _objection_to_playlist(lines: Sequence[str], outline: Outline) -> str:
    files = [line for line in lines if line and not line.startswith("#")]
    if files != [outline.segment_file(number) for number in range(outline.segments)]:
        return "It names other segments than there are, or in another order."
    if f'#EXT-X-MAP:URI="{outline.init_file}"' not in lines:
        return "It names another initialisation segment."
    if "#EXT-X-ENDLIST" not in lines:
        return "It says that the track is still growing."
    times = [Fraction(time) for time in re.findall(r"(?m)^#EXTINF:([\d.]+),", "\n".join(lines))]
    ends = [*accumulate(times)]
    real = [Fraction(bound, outline.track.timescale) for bound in outline.track.bounds[1:]]
    if len(ends) != len(real) or any(abs(a - b) > _TOLERANCE_S for a, b in zip(ends, real, strict=True)):
        return "It gives other durations than the segments have."
    return ""
