"""Which treatment a source's pictures need: decided from what the first ones say. Pure.

Colours of ordinary video (BT.601, BT.709) are kept and labelled: players that have to guess take small
pictures for BT.601 and large ones for BT.709, and a viewer would see the colours change with the quality.
Everything else is turned into BT.709. Of pictures that say nothing, the size decides, by the rule that
players go by (mpv's `mp_image_params_guess_csp`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from services.shared.treatment import Colours, Treatment
from services.transcoder.source import UNKNOWN, Look, VideoFacts

_HDR_TRANSFERS: Final = frozenset({"smpte2084", "arib-std-b67"})
"""Perceptual quantisation (PQ, as in HDR10 and Dolby Vision) and hybrid log-gamma (HLG)."""

_PLAIN_MATRICES: Final = frozenset({"bt709", "smpte170m", "bt470bg"})
_PLAIN_PRIMARIES: Final = frozenset({"bt709", "smpte170m", "bt470bg"})
_PLAIN_TRANSFERS: Final = frozenset({"bt709", "smpte170m", "bt470m", "bt470bg", "iec61966-2-1"})

_NEAREST_TRANSFERS: Final = {"smpte240m": "smpte170m", "bt1361e": "bt709", "smpte428": "bt470bg"}
"""For curves that the converter (zscale) does not know, those that hardly differ; for the cinema's gamma of
2.6, that of 2.8. It knows all primaries."""
_BT2020_TRANSFERS: Final = frozenset({UNKNOWN, "bt709", "smpte170m", "bt2020-10", "bt2020-12"})
"""The curves with which the matrix of constant luminance (BT.2020) is defined: all of them are one."""

_DEFAULT_PEAK_NITS: Final = 1000
"""What pictures of high dynamic range are mastered for, where they do not say; HLG's nominal peak."""
_LEAST_PEAK_NITS: Final = 200
_PQ_PEAK_NITS: Final = 10_000

_HD_WIDTH: Final = 1280
_LARGEST_SD_HEIGHT: Final = 576
_NTSC_HEIGHTS: Final = frozenset({480, 486, 488})


def treatment(video: VideoFacts) -> Treatment:
    """What a source's pictures need."""
    look = _convertible(video.look)
    interlaced = look.interlaced
    if look.rgb:
        return Treatment(interlaced=interlaced, rgb=True, label=Colours.bt709())
    said = _completed(look, width=video.width, height=video.height)
    if _is_plain(said):
        return Treatment(interlaced=interlaced, label=said)
    return Treatment(
        interlaced=interlaced,
        convert_from=said,
        full_range=look.full_range,
        peak_nits=_peak_nits(look) if said.transfer in _HDR_TRANSFERS else None,
        label=Colours.bt709(),
    )


def _convertible(look: Look) -> Look:
    """The same colours, or the nearest, in words that the converter knows."""
    look = replace(look, transfer=_NEAREST_TRANSFERS.get(look.transfer, look.transfer))
    return replace(look, matrix=_convertible_matrix(look))


def _convertible_matrix(look: Look) -> str:
    match look.matrix:
        case "ictcp" if look.transfer not in _HDR_TRANSFERS or look.primaries not in {UNKNOWN, "bt2020"}:
            return UNKNOWN
        case "bt2020c" if look.transfer not in _BT2020_TRANSFERS:
            return "bt2020nc"
        case "smpte2085":
            return UNKNOWN
        case matrix:
            return matrix


def _is_plain(said: Colours) -> bool:
    return (
        said.matrix in _PLAIN_MATRICES
        and said.primaries in _PLAIN_PRIMARIES
        and said.transfer in _PLAIN_TRANSFERS
    )


def _completed(look: Look, *, width: int, height: int) -> Colours:
    """What the pictures say of their colours, gaps filled with what is usual beside the rest."""
    usual = _usual(look, width=width, height=height)
    return Colours(
        primaries=usual.primaries if look.primaries == UNKNOWN else look.primaries,
        transfer=usual.transfer if look.transfer == UNKNOWN else look.transfer,
        matrix=usual.matrix if look.matrix == UNKNOWN else look.matrix,
    )


def _usual(look: Look, *, width: int, height: int) -> Colours:
    if look.transfer in _HDR_TRANSFERS or look.primaries == "bt2020" or look.matrix.startswith("bt2020"):
        return Colours(primaries="bt2020", transfer="bt2020-10", matrix="bt2020nc")
    if look.matrix == "bt709":
        return Colours.bt709()
    lines = min(width, height)
    if look.matrix == UNKNOWN and (max(width, height) >= _HD_WIDTH or lines > _LARGEST_SD_HEIGHT):
        return Colours.bt709()
    return Colours(primaries=_sd_primaries(lines), transfer="smpte170m", matrix="smpte170m")


def _sd_primaries(lines: int) -> str:
    if lines == _LARGEST_SD_HEIGHT:
        return "bt470bg"
    return "smpte170m" if lines in _NTSC_HEIGHTS else "bt709"


def _peak_nits(look: Look) -> int:
    peak = look.peak_nits or _DEFAULT_PEAK_NITS
    return round(min(max(peak, _LEAST_PEAK_NITS), _PQ_PEAK_NITS))
