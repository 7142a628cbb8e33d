"""What an encoder made: whether it is whole and made as planned, and how near it comes to the source."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.shared.plan import Plan
from services.shared.tracks import Rendition
from services.transcoder.fragments import FragmentParser, MediaSegment

_X264: Final = re.compile(rb"x264 - core .*? options: ([ -~]+)")
_BY_DESIGN: Final = frozenset({"threads", "lookahead_threads", "sliced_threads", "zones"})
"""Settings in which the variants differ on purpose."""

_PSNR: Final = re.compile(r"PSNR .*average:([\d.]+)")
_SSIM: Final = re.compile(r"SSIM .*All:([\d.]+)")


def joined(folder: Path, track: int) -> Path:
    """Put a track together as a player would: initialisation segment, then all others."""
    files = [folder / f"{track}-init.mp4", *sorted(folder.glob(f"{track}-*.m4s"))]
    path = folder / f"{track}.whole"
    path.write_bytes(b"".join(file.read_bytes() for file in files))
    return path


def frames(track: Path) -> int:
    """How many frames a track has."""
    parts = FragmentParser().feed(track.read_bytes())
    return sum(part.samples for part in parts if isinstance(part, MediaSegment))


def settings(track: Path) -> dict[str, str]:
    """What x264 says about itself in the stream, less what differs on purpose."""
    said = _X264.search(track.read_bytes())
    assert said is not None, "not encoded by x264"
    options = (option.partition("=") for option in said[1].decode().split())
    return {name: value for name, _, value in options if name not in _BY_DESIGN}


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How near a track comes to its source: the mean over all frames and planes."""

    psnr_db: float
    ssim: float


def likeness(encoded: Path, source: Path, plan: Plan, rendition: Rendition) -> Likeness:
    """Likeness of a track to its source, scaled to the same size; both measures from one decode."""
    # Frame n is compared with frame n, however the two files' clocks differ.
    numbered = f"settb=1/1000,setpts=N*1000*{plan.fps.den}/{plan.fps.num}"
    graph = (
        f"[0:v]{numbered},split[encoded][encoded2];"
        f"[1:V:0]fps={plan.fps.num}/{plan.fps.den}:round=near,"
        f"scale={rendition.width}:{rendition.height}:flags=bicubic,format=yuv420p,{numbered},"
        "split[source][source2];[encoded][source]psnr[one];[encoded2][source2]ssim[other]"
    )
    outputs = (part for name in ("one", "other") for part in ("-map", f"[{name}]", "-f", "null", "-"))
    said = _ffmpeg("-i", str(encoded), "-i", str(source), "-filter_complex", graph, *outputs)
    psnr, ssim = _PSNR.search(said), _SSIM.search(said)
    assert psnr is not None, said
    assert ssim is not None, said
    return Likeness(psnr_db=float(psnr[1]), ssim=float(ssim[1]))


def _ffmpeg(*arguments: str) -> str:
    command = ("nice", "ffmpeg", "-nostdin", "-hide_banner", *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr
