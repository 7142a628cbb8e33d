"""Encoders and what they must be told, so that separately made pieces fit together.

The same of each: a key frame where a segment begins and nowhere else; groups of pictures that refer to
nothing outside; one thread, since a worker is meant to take one core, and since some encoders decide
otherwise with more of them; constant quality, with a cap on the rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import ffmpeg

from services.shared.tracks import Rendition
from services.transcoder.command.compiling import compiled
from services.transcoder.profiles import PROFILES, Family, Profile

_KILOBIT: Final = 1000
_BLANK_FRAMES: Final = 8
_BLANK_RATE: Final = 25
_X265_UNSIGNED: Final = ":info=0"
_VAAPI_DEVICE: Final = "/dev/dri/renderD128"

Options = dict[str, Any]


def encoder(rendition: Rendition, *, segment_frames: int) -> Options:
    """Options of an output that encode a rendition."""
    chosen = PROFILES[rendition.encoding.profile]
    return {"c:v": chosen.encoder, **_OPTIONS[chosen.encoder](rendition, segment_frames), **_tag(chosen)}


def eased(rendition: Rendition, relief: int) -> Rendition:
    """The rendition, by so many steps of quality coarser."""
    encoding = rendition.encoding
    chosen = PROFILES[encoding.profile]
    quality = min(encoding.quality + round(relief * chosen.step), chosen.coarsest)
    return rendition.model_copy(update={"encoding": encoding.model_copy(update={"quality": quality})})


def prepared(frames: Any, rendition: Rendition) -> Any:
    """The pictures in the form in which the rendition's encoder takes them."""
    chosen = PROFILES[rendition.encoding.profile]
    ordered = frames.filter("format", chosen.pixel_format)
    return ordered.filter("hwupload") if chosen.device else ordered


def devices(*renditions: Rendition) -> list[str]:
    """Options of the whole process that open the hardware its encoders upload pictures to."""
    kinds = {PROFILES[rendition.encoding.profile].device for rendition in renditions}
    return ["-vaapi_device", _VAAPI_DEVICE] if "vaapi" in kinds else []


def encode_blank(rendition: Rendition, *, rate: int = _BLANK_RATE) -> list[str]:
    """Encode a few generated pictures as those of a piece are, as fragmented MP4 on standard output.

    Encoders tell their version: in what they make, or on standard error.

    Args:
        rendition: what to encode them as.
        rate: pictures per second.
    """
    size = f"{rendition.width}x{rendition.height}"
    generated = ffmpeg.input(f"testsrc2=size={size}:rate={rate}", format="lavfi")
    options = encoder(rendition, segment_frames=_BLANK_FRAMES)
    output = prepared(generated, rendition).output(
        "pipe:1",
        **{**_signed(options), "frames:v": _BLANK_FRAMES},
        format="mp4",
        movflags="+dash+delay_moov+frag_keyframe",
    )
    return compiled([output], before=devices(rendition), loglevel="info")


def _signed(options: Options) -> Options:
    """The options, with those that keep an encoder from signing what it makes taken out."""
    x265 = options.get("x265-params", "")
    return {**options, "x265-params": x265.removesuffix(_X265_UNSIGNED)} if x265 else options


def _x264(rendition: Rendition, size: int) -> Options:
    return {
        "preset": rendition.encoding.preset,
        "profile:v": "high",
        **({"level": rendition.encoding.level} if rendition.encoding.level else {}),
        "crf": rendition.encoding.quality,
        **_capped(rendition),
        # Key frames at segment starts and nowhere else. The zone lifts the first key frame of each run,
        # which x264 makes weaker than later ones because it has no history to judge by.
        "x264-params": f"keyint={size}:min-keyint={size}:scenecut=0:open-gop=0:threads=1:zones=0,0,b=1.4"
        + ":stitchable=1" * rendition.encoding.stitchable,
    }


def _x265(rendition: Rendition, size: int) -> Options:
    # Signed, the decoder's configuration, on which all pieces must agree, would tell which processor made it.
    single = f"pools=none:frame-threads=1:wpp=0:lookahead-slices=0:log-level=warning{_X265_UNSIGNED}"
    return {
        "preset": rendition.encoding.preset,
        "profile:v": "main",
        "crf": rendition.encoding.quality,
        **_capped(rendition),
        "x265-params": f"keyint={size}:min-keyint={size}:scenecut=0:open-gop=0:{single}",
    }


def _vp9(rendition: Rendition, size: int) -> Options:
    # With a quality, libvpx takes `b:v` for what the whole may need at most ("constrained quality").
    return {
        "deadline": "good",
        "cpu-used": rendition.encoding.preset,
        "crf": rendition.encoding.quality,
        "b:v": rendition.bitrate,
        "g": size,
        "keyint_min": size,
        "threads": 1,
        "row-mt": 0,
    }


def _av1(rendition: Rendition, size: int) -> Options:
    return {
        "preset": rendition.encoding.preset,
        "crf": rendition.encoding.quality,
        "g": size,
        "svtav1-params": f"lp=1:scd=0:mbr={rendition.bitrate // _KILOBIT}",
    }


def _nvenc(rendition: Rendition, size: int) -> Options:
    return {
        "preset": rendition.encoding.preset,
        "rc": "vbr",
        "cq": rendition.encoding.quality,
        "b:v": 0,
        **_capped(rendition),
        "g": size,
        "forced-idr": 1,
        "no-scenecut": 1,
        "strict_gop": 1,
    }


def _vaapi(rendition: Rendition, size: int) -> Options:
    # The driver takes the best it has for a quality and a cap.
    return {
        "compression_level": rendition.encoding.preset,
        "global_quality": rendition.encoding.quality,
        "b:v": rendition.bitrate * 2 // 3,
        **_capped(rendition),
        "g": size,
        "idr_interval": 0,
    }


def _qsv(rendition: Rendition, size: int) -> Options:
    return {
        "preset": rendition.encoding.preset,
        "global_quality": rendition.encoding.quality,
        "b:v": rendition.bitrate * 2 // 3,
        **_capped(rendition),
        "g": size,
        "idr_interval": 0,
        "forced_idr": 1,
    }


def _capped(rendition: Rendition) -> Options:
    return {"maxrate": rendition.bitrate, "bufsize": rendition.buffer_bits}


def _tag(chosen: Profile) -> Options:
    # Apple's players want the parameter sets in the initialisation segment alone, which this tag promises.
    return {"tag:v": "hvc1"} if chosen.family is Family.HEVC else {}


_OPTIONS: Final[Mapping[str, Callable[[Rendition, int], Options]]] = {
    "libx264": _x264,
    "libx265": _x265,
    "libvpx-vp9": _vp9,
    "libsvtav1": _av1,
    "h264_nvenc": _nvenc,
    "hevc_nvenc": _nvenc,
    "h264_vaapi": _vaapi,
    "hevc_vaapi": _vaapi,
    "h264_qsv": _qsv,
    "hevc_qsv": _qsv,
}
