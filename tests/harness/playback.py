"""Play a video as a client would: read its manifest, fetch every segment, decode, count."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

import httpx

_NS = {"mpd": "urn:mpeg:dash:schema:mpd:2011"}


@dataclass(frozen=True, kw_only=True)
class Representation:
    """One track of a manifest with the addresses of its files."""

    id: str
    mime_type: str
    init: str
    media: tuple[str, ...]
    duration_s: float


def representations(manifest: bytes, url: str) -> list[Representation]:
    """Every representation of pictures and sound in an MPD that stands at `url`."""
    root = ET.fromstring(manifest)  # noqa: S314 - our own server wrote it
    return [
        _representation(group, entry, url)
        for group in root.findall(".//mpd:AdaptationSet", _NS)
        if group.get("contentType") in {"video", "audio"}
        for entry in group.findall("mpd:Representation", _NS)
    ]


def _representation(group: ET.Element, entry: ET.Element, url: str) -> Representation:
    template = entry.find("mpd:SegmentTemplate", _NS)
    assert template is not None
    first = int(template.get("startNumber", "1"))
    runs = [
        (int(run.get("d", "0")), 1 + int(run.get("r", "0")))
        for run in template.findall("mpd:SegmentTimeline/mpd:S", _NS)
    ]
    count = sum(repeats for _, repeats in runs)
    pattern = template.get("media", "")
    return Representation(
        id=entry.get("id", ""),
        mime_type=group.get("mimeType", ""),
        init=urljoin(url, template.get("initialization", "")),
        media=tuple(urljoin(url, _numbered(pattern, first + n)) for n in range(count)),
        duration_s=sum(d * repeats for d, repeats in runs) / int(template.get("timescale", "1")),
    )


def _numbered(pattern: str, number: int) -> str:
    head, _, rest = pattern.partition("$Number%")
    width, _, tail = rest.partition("d$")
    return f"{head}{number:0{int(width)}d}{tail}"


async def download(client: httpx.AsyncClient, track: Representation, path: Path) -> Path:
    """Fetch a whole track, initialisation segment first, into one playable file."""
    with path.open("wb") as file:
        for address in (track.init, *track.media):
            answer = await client.get(address)
            answer.raise_for_status()
            file.write(answer.content)
    return path
