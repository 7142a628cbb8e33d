"""Kinds of videos that people upload, and what has to become of each: which pictures, and when it claps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from tests.harness.clapper import CLAPS_S, LENGTH_S, SIZE, beeps, film
from tests.harness.sources import Recipe, ffmpeg, x264

_FPS: Final = 25
_ALL: Final = range(LENGTH_S * _FPS)
_AS_GIVEN: Final = ("-fps_mode", "passthrough")
_VP9: Final = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "200k", "-g", "70")
_VP8: Final = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k", *_AS_GIVEN)
_LIVE: Final[dict[str, Any]] = {"audio": ("-c:a", "libopus"), "muxer": ("-live", "1")}
_AV1: Final = ("-c:v", "libsvtav1", "-preset", "12", "-crf", "40", "-g", "75", "-svtav1-params", "lp=1")
_TEN_BITS: Final = ("-pix_fmt", "yuv420p10le")
_X265: Final = ("-c:v", "libx265", "-preset", "ultrafast", "-g", "60", *_TEN_BITS)
_MPEG2: Final = ("-c:v", "mpeg2video", "-q:v", "4", "-bf", "2", "-g", "12")
_MPEG4: Final = ("-c:v", "mpeg4", "-q:v", "4", "-bf", "2", "-g", "60")
_XVID: Final = ("-c:v", "libxvid", "-q:v", "5", "-bf", "2", "-g", "60")
_PCM: Final = ("-c:a", "pcm_s16le")
_INTERLACED: Final = ("-flags", "+ilme+ildct")
_TREMBLING: Final = "settb=1/90000,setpts='PTS+mod(N*37,11)*90'"
_FREE_TIMES: Final = ("-fps_mode", "passthrough", "-enc_time_base", "1/90000")
_PACKED: Final = (
    *(0, 1, 1, *range(3, 29), 28, *range(30, 88), 90, 91, *range(90, 148)),
    *(150, 151, *range(150, 179), 178, *range(180, 221), 222),
)
"""Xvid mixes up pictures before its key frames, and ends early."""
_AWAY: Final = range(50, 325)
_WOVEN: Final = "tinterlace=interleave_top,setfield=tff"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of source."""

    name: str
    make: Callable[[Path], Path]
    """Writes one into a folder, unless it is there."""
    fps: Fraction = Fraction(_FPS)
    """Of the video that it becomes."""
    numbers: Sequence[int] = _ALL
    """What the pictures of that video show, one after the other."""
    claps_s: Sequence[float] = CLAPS_S
    shape: tuple[int, int] = (176, 96)
    """Width and height of that video."""
    apart_s: float = 0.01
    """Sound and picture may be so far apart at most."""
    lost: Sequence[int] = ()
    """Places of pictures that ffmpeg loses: it rebuilds its filters where the size changes."""
    remuxed: bool = False
    counted: bool = False
    """Whether its pictures have no times, and ffmpeg by itself makes wrong ones up."""
    stills: bool = False
    """Whether the picture has to stand still where there is only sound, or where the last one does not tell
    for how long it is shown: ffmpeg by itself does not do that."""


def _of(recipe: Recipe, **facts: Any) -> Kind:
    return Kind(name=f"{recipe.name}_{recipe.suffix}", make=recipe.make, **facts)


def _rate(
    rate: str, *, seconds: int = LENGTH_S, fps: str | None = None, step: int = 1, first: int = 0
) -> Kind:
    """A film of some rate, of which every `step`th picture is kept."""
    frames = round(Fraction(rate) * seconds)
    recipe = film(f"rate_{rate.replace('/', '_')}", rate=rate, duration_s=seconds)
    return _of(recipe, numbers=range(first, frames, step), fps=Fraction(fps or rate))


def _counted(name: str, video: Sequence[str], *, rate: str = str(_FPS)) -> Kind:
    """A film in AVI whose pictures are decoded in another order than they are shown."""
    fps = Fraction(rate)
    recipe = film(name, suffix="avi", rate=rate, video=tuple(video), audio=_PCM)
    return _of(recipe, fps=fps, numbers=range(round(fps * LENGTH_S)), remuxed=True, counted=True)


def _copied(
    name: str, *options: str, filters: str = "null", size: str = SIZE, suffix: str = "mp4", **facts: Any
) -> Kind:
    """A film copied with options of the output."""
    recipe = film(name, size=size, suffix=suffix, filters=filters, copy_before=(), copy_after=options)
    return _of(recipe, **facts)


def _held(kept: Sequence[int], frames: int) -> list[int]:
    """What is shown where only some pictures are there: each stays until the next."""
    return [max(number for number in kept if number <= frame) for frame in range(frames)]


def _varying(name: str, *, without: str, kept: Sequence[int], suffix: str, **facts: Any) -> Kind:
    """A film that lacks pictures, and says so by its time stamps."""
    made = (*x264(), "-fps_mode", "passthrough", "-video_track_timescale", "90000")
    claps_s = facts.get("claps_s", CLAPS_S)
    recipe = film(name, claps_s=claps_s, suffix=suffix, filters=f"select='not({without})'", video=made)
    return _of(recipe, numbers=_held(kept, len(_ALL)), **facts)


def _interrupted(name: str, sound: str | None) -> Kind:
    """A broadcast whose pictures stay away for more than ten seconds."""
    made, claps_s = (*x264(), "-fps_mode", "passthrough"), (1.0, 14.0)
    filters = f"select='not(between(n,{_AWAY.start},{_AWAY.stop - 1}))'"
    parts: dict[str, Any] = {
        "duration_s": 16,
        "suffix": "ts",
        "filters": filters,
        "video": made,
        "sound": sound,
    }
    numbers = _held([n for n in range(400) if n not in _AWAY], 400)
    return _of(film(name, claps_s=claps_s, **parts), numbers=numbers, claps_s=claps_s, remuxed=True)


def _made(name: str, write: Callable[[Path, Path], None], *, suffix: str = "mp4", **facts: Any) -> Kind:
    """A film that takes more than a recipe: `write` gets a folder and the path."""

    def make(folder: Path) -> Path:
        path = folder / f"{name}.{suffix}"
        if not path.exists():
            write(folder, path)
        return path

    return Kind(name=name, make=make, **facts)


def _with_sound(silent: Recipe, sound: str, *options: str) -> Callable[[Path, Path], None]:
    """A film with sound that was made without it, read with options."""

    def write(folder: Path, path: Path) -> None:
        film_of_it = (*options, "-i", str(silent.make(folder)))
        ffmpeg(*film_of_it, "-f", "lavfi", "-i", sound, "-map", "0", "-map", "1", "-c:v", "copy", str(path))

    return write


def _two_tracks(folder: Path, path: Path) -> None:
    plain = str(film("plain").make(folder))
    sound = ("-f", "lavfi", "-i", beeps(layout="stereo", rate_hz=44_100))
    ffmpeg("-i", plain, *sound, "-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "ac3", str(path))


def _cover_first(folder: Path, path: Path) -> None:
    cover = folder / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:size=300x300", "-frames:v", "1", str(cover))
    plain = ("-i", str(cover), "-i", str(film("plain").make(folder)), "-map", "0", "-map", "1")
    ffmpeg(*plain, "-c", "copy", "-c:v:0", "png", "-disposition:v:0", "attached_pic", str(path))


def _joined(*recipes: Recipe) -> Callable[[Path, Path], None]:
    """Broadcasts one behind the other, each with a clock of its own."""

    def write(folder: Path, path: Path) -> None:
        path.write_bytes(b"".join(recipe.make(folder).read_bytes() for recipe in recipes))

    return write


def _meeting(name: str, before: Recipe, after: Recipe) -> Kind:
    """Two broadcasts. Where they meet, the sound of both overlaps by a frame."""
    joined, numbers = _joined(before, after), [*_ALL, *_ALL]
    return _made(name, joined, suffix="ts", numbers=numbers, claps_s=_TWICE, apart_s=0.03, remuxed=True)


def _colours(name: str, *, primaries: str, transfer: str, matrix: str, more: str = "") -> Kind:
    tags = f"setparams=color_primaries={primaries}:color_trc={transfer}:colorspace={matrix}:range=tv"
    said = f"log-level=1:colorprim={primaries}:transfer={transfer}:colormatrix={matrix}:range=limited{more}"
    made = (*_X265, "-x265-params", said)
    return _of(film(name, filters=f"format=yuv420p10le,{tags}", video=made))


_SILENT: Final = film("silent", sound=None)
_SHORT: Final = film("short_silent", sound=None, duration_s=5, claps_s=(1.0,))
_PICTURE: Final = film("one_frame", sound=None, duration_s=0.04, claps_s=())
_SMALL: Final = film("part", suffix="ts")
_LARGE: Final = film("large_part", suffix="ts", size="352x192")
_DOLBY: Final = film("part", suffix="ts", audio=("-c:a", "ac3", "-b:a", "384k"))
_SURROUND: Final = film("part_surround", suffix="ts", audio=("-c:a", "aac", "-b:a", "192k", "-ac", "6"))
_SLOW: Final = film("part_slow", suffix="ts", sound=beeps(rate_hz=44_100))
_FIELDS: Final = film(
    "part_interlaced", suffix="ts", rate="50", before=_WOVEN, video=x264(*_INTERLACED, "-g", "25")
)
_TWICE: Final = (*CLAPS_S, *(LENGTH_S + clap for clap in CLAPS_S))

KINDS: Final = (
    _rate("24000/1001"),
    _rate("30000/1001"),
    _rate("50"),
    _rate("60000/1001"),
    _rate("120", seconds=8, fps="60", step=2),
    # Of the pictures nearest to a place on the grid, the last one is shown.
    _rate("240", seconds=8, fps="60", step=4, first=1),
    _of(
        film("rate_2", rate="2", video=x264("-g", "10")),
        numbers=[slot // 5 for slot in range(LENGTH_S * 10)],
        fps=Fraction(10),
    ),
    # Containers and codecs.
    _of(film("plain")),
    _of(film("flac", suffix="mkv", rate="30", audio=("-c:a", "flac")), numbers=range(270), fps=Fraction(30)),
    _of(film("vp9", suffix="webm", video=_VP9, audio=("-c:a", "libopus"))),
    _of(film("av1", video=_AV1, audio=("-c:a", "libopus"))),
    _of(film("hevc", suffix="mkv", video=(*_X265, "-x265-params", "log-level=1"))),
    _of(film("mjpeg", suffix="mov", video=("-c:v", "mjpeg", "-q:v", "6"), audio=_PCM)),
    _of(film("mpeg4", suffix="mov", video=_MPEG4)),
    _of(film("prores", suffix="mov", video=("-c:v", "prores_ks", "-profile:v", "0"), audio=_PCM)),
    _of(film("rgb", suffix="mov", video=("-c:v", "qtrle", "-pix_fmt", "rgb24"), audio=_PCM)),
    _of(film("fragmented", muxer=("-movflags", "+frag_keyframe+empty_moov"))),
    _of(film("h264", suffix="ts"), remuxed=True),
    _of(film("mpeg2", suffix="vob", video=_MPEG2, audio=("-c:a", "mp2")), remuxed=True),
    _of(film("dvd", suffix="vob", video=_MPEG2, audio=("-c:a", "pcm_dvd", "-ac", "2")), remuxed=True),
    _of(film("xvid", suffix="avi", video=_MPEG4, audio=_PCM), remuxed=True),
    _of(film("packed", suffix="avi", video=_XVID, audio=_PCM), numbers=_PACKED, remuxed=True),
    _of(film("h264", suffix="avi", video=(*x264(), "-bf", "0"), audio=_PCM), remuxed=True),
    _counted("h264_reordered", x264()),
    _counted(
        "h264_pyramid", x264("-x264-params", "bframes=5:b-pyramid=normal:open-gop=1"), rate="30000/1001"
    ),
    _counted("hevc", (*_X265, "-x265-params", "log-level=1", "-tag:v", "H265")),
    _of(film("h264", suffix="flv"), remuxed=True),
    _of(
        film("wmv", suffix="wmv", video=("-c:v", "wmv2", "-q:v", "4"), audio=("-c:a", "wmav2")), remuxed=True
    ),
    _of(
        film("theora", suffix="ogv", video=("-c:v", "libtheora", "-q:v", "7"), audio=("-c:a", "libvorbis")),
        remuxed=True,
    ),
    _of(film("mpeg2", suffix="mxf", video=_MPEG2, audio=_PCM), remuxed=True),
    # Where decoding can begin.
    _of(film("open_gop", video=x264("-x264-params", "open-gop=1:bframes=3:b-pyramid=normal"))),
    _of(film("open_gop", suffix="mkv", video=x264("-x264-params", "open-gop=1:bframes=3"))),
    _of(film("one_key_frame", video=x264("-x264-params", "keyint=infinite:scenecut=0"))),
    _of(film("long_groups", video=x264("-x264-params", "keyint=250:scenecut=0"))),
    _of(film("intra_refresh", video=(*x264("-x264-params", "intra-refresh=1:keyint=30"), "-bf", "0"))),
    # Pictures of other shapes.
    _of(film("portrait", size="96x176"), shape=(96, 176)),
    _copied(
        "turned_90", "-metadata:s:v", "rotate=90", filters="transpose=clock", size="96x176", shape=(96, 176)
    ),
    _copied("turned_180", "-metadata:s:v", "rotate=180", filters="hflip,vflip"),
    _copied(
        "turned_270",
        "-metadata:s:v",
        "rotate=270",
        filters="transpose=cclock",
        size="96x176",
        shape=(96, 176),
    ),
    _of(film("odd", size="177x97", video=_MPEG4)),
    _of(film("anamorphic", size="132x96", filters="setsar=4/3")),
    _of(film("interlaced", suffix="mkv", rate="50", before=_WOVEN, video=x264(*_INTERLACED, "-g", "25"))),
    _of(
        film("interlaced", suffix="ts", rate="50", before=_WOVEN, video=(*_MPEG2, *_INTERLACED)), remuxed=True
    ),
    _meeting("interlaced_later", _SMALL, _FIELDS),
    _made(
        "new_size",
        _joined(_SMALL, _LARGE),
        suffix="ts",
        numbers=[*_ALL[:-1], 0, *_ALL],
        claps_s=_TWICE,
        apart_s=0.03,
        lost=_ALL[-1:],
        remuxed=True,
    ),
    # Colours.
    _colours(
        "hdr10",
        primaries="bt2020",
        transfer="smpte2084",
        matrix="bt2020nc",
        more=":max-cll=1000,400:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)",
    ),
    _colours("hlg", primaries="bt2020", transfer="arib-std-b67", matrix="bt2020nc"),
    _colours("wide", primaries="bt2020", transfer="bt2020-10", matrix="bt2020nc"),
    # Time.
    _copied("not_from_zero", "-output_ts_offset", "7.3", suffix="mkv"),
    _varying("gaps", suffix="mkv", without="eq(mod(n,7),3)", kept=[n for n in _ALL if n % 7 != 3]),
    _varying("gaps", suffix="mp4", without="eq(mod(n,7),3)", kept=[n for n in _ALL if n % 7 != 3]),
    _varying(
        "hole",
        suffix="mp4",
        without="between(n,75,199)",
        kept=[n for n in _ALL if not 75 <= n < 200],
        claps_s=(1.0, 8.2),
    ),
    _of(film("trembling", filters=_TREMBLING, video=(*x264(), *_FREE_TIMES)), stills=True),
    _of(
        film("edited", claps_s=(4.0, 7.0), copy_before=("-ss", "3.2")),
        numbers=_ALL[80:],
        claps_s=(4.0 - 3.2, 7.0 - 3.2),
    ),
    _of(
        film("late_sound", claps_s=(2.0, 7.0), sound=beeps((0.5, 5.5)), sound_offset_s=1.5),
        claps_s=(2.0, 7.0),
    ),
    _of(film("short_sound", claps_s=(1.0,), sound=beeps((1.0,), length_s=4)), claps_s=(1.0,)),
    _made(
        "late_picture",
        _with_sound(_SILENT, beeps((3.0, 9.0), length_s=11), "-itsoffset", "2"),
        numbers=[*[0] * 50, *_ALL],
        claps_s=(3.0, 9.0),
        stills=True,
    ),
    _made(
        "long_sound",
        _with_sound(_SHORT, beeps((1.0,))),
        numbers=[*range(125), *[124] * 100],
        claps_s=(1.0,),
        stills=True,
    ),
    _of(
        # As browsers record: without a length, and a picture only when something moves.
        film(
            "live",
            claps_s=(1.0,),
            suffix="webm",
            before="trim=end=9",
            filters="select='lt(n,125)'",
            video=_VP8,
            **_LIVE,
        ),
        numbers=[*range(125), *[124] * 100],
        claps_s=(1.0,),
        stills=True,
    ),
    _made("slide", _with_sound(_PICTURE, beeps((), length_s=6)), numbers=[0] * 150, claps_s=(), stills=True),
    _copied("wrapped", "-output_ts_offset", "95438", suffix="ts", remuxed=True),
    _meeting("new_clock", _SMALL, _SMALL),
    _meeting("new_clock_dolby", _DOLBY, _DOLBY),
    _meeting("new_channels", _SMALL, _SURROUND),
    _meeting("new_rate", _SMALL, _SLOW),
    _interrupted("interrupted", beeps((1.0, 14.0), length_s=16)),
    _interrupted("interrupted_silent", None),
    _of(
        film("slides", suffix="ts", rate="1/10", duration_s=40, sound=beeps((), length_s=40)),
        numbers=[place // 50 for place in range(200)],
        fps=Fraction(5),
        claps_s=(),
        remuxed=True,
        stills=True,
    ),
    _of(film("short", duration_s=1, claps_s=(0.2,)), numbers=range(25), claps_s=(0.2,)),
    _of(_PICTURE, numbers=[0], claps_s=()),
    # Sound, and what else there may be.
    _of(film("surround", suffix="mkv", sound=beeps(layout="5.1"), audio=("-c:a", "ac3"))),
    _of(film("slow_sound", suffix="mkv", sound=beeps(rate_hz=22_050), audio=("-c:a", "flac"))),
    _of(_SILENT),
    _made("two_tracks", _two_tracks),
    _made("cover_first", _cover_first),
    _made("cover_as_a_track", _cover_first, suffix="mkv", remuxed=True),
)
