"""From decoded pictures to plain ones, as `services.shared.treatment` has it: a few filters each."""

from __future__ import annotations

from typing import Any, Final

from services.shared.treatment import Colours, Treatment

_WHITE_NITS: Final = 100
"""What 1.0 means between the filters: the white of ordinary screens (ITU-R BT.2408 calls it SDR white)."""

_MATRICES: Final = {"smpte240m": 7}
"""What zscale has no name for that would be right in all its versions, by its number in ITU-T H.273."""


def deinterlaced(video: Any, treatment: Treatment) -> Any:
    """One picture from each two fields; pictures that are whole pass as they are.

    A picture's neighbours are looked at, too: decoding has to begin one picture before the first that counts.
    """
    return video.filter("bwdif", mode="send_frame", deint="interlaced") if treatment.interlaced else video


def converted(video: Any, treatment: Treatment) -> Any:
    """In BT.709, whatever the colours were."""
    given = treatment.convert_from
    if given is None:
        return video
    said = {
        "primariesin": given.primaries,
        "transferin": given.transfer,
        "matrixin": _MATRICES.get(given.matrix, given.matrix),
        "rangein": "full" if treatment.full_range else "limited",
    }
    # zscale refuses odd sizes of pictures whose colours have half the resolution.
    video = video.filter("crop", "trunc(iw/2)*2", "trunc(ih/2)*2", 0, 0)
    bt709 = {"transfer": "bt709", "matrix": "bt709", "range": "limited"}
    if treatment.peak_nits is None:
        return video.filter("zscale", **said, **bt709, primaries="bt709").filter("format", "yuv420p10le")
    return (
        video.filter("zscale", **said, transfer="linear", primaries="bt709", npl=_WHITE_NITS)
        .filter("format", "gbrpf32le")
        # Told the peak, since it would otherwise use what single pictures say, and some say nothing.
        .filter("tonemap", "hable", desat=0, peak=treatment.peak_nits / _WHITE_NITS)
        .filter("zscale", **bt709)
        .filter("format", "yuv420p10le")
    )


def scaled(video: Any, treatment: Treatment, *, width: int, height: int) -> Any:
    """In another size, with square pixels, and labelled."""
    if treatment.label is None:
        return video.filter("scale", width, height, flags="bicubic").filter("setsar", 1)
    matrix = {"out_color_matrix": "bt709"} if treatment.rgb else {}
    small = video.filter("scale", width, height, flags="bicubic", out_range="tv", **matrix)
    return _labelled(small.filter("setsar", 1), treatment.label)


def _labelled(video: Any, label: Colours) -> Any:
    # A filter rather than options of the encoder: those are overruled by what pictures say of themselves.
    return video.filter(
        "setparams",
        range="tv",
        color_primaries=label.primaries,
        color_trc=label.transfer,
        colorspace=label.matrix,
    )
