"""Whatever pictures are like, they come out progressive, of ordinary range, in colours that players know."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.media import run, transcode
from tests.harness.sources import Recipe, ffmpeg, x264

SIZE = (96, 64)
_TAGS = ("pix_fmt", "color_range", "color_space", "color_transfer", "color_primaries")


def made(folder: Path, name: str, source: str, *codec: str, filters: str = "null") -> Path:
    """A second of what a lavfi source shows."""
    path = folder / name
    ffmpeg("-f", "lavfi", "-i", source, "-t", "1", "-vf", filters, *codec, str(path))
    return path


async def treated(path: Path, folder: Path) -> Path:
    """What becomes of a source in its highest rendition."""
    done = await transcode(path)
    return done.collector.write(done.plan.renditions[-1].name, folder / "treated.mp4")


def tags(path: Path) -> list[str]:
    """How a file says that its pictures are to be read."""
    entries = f"stream={','.join(_TAGS)}"
    said = run(["ffprobe", "-v", "error", "-show_entries", entries, "-of", "default=nw=1", str(path)])
    fields = dict(line.split("=") for line in said.decode().split())
    return [fields[tag] for tag in _TAGS]


def levels(path: Path) -> tuple[int, int, int]:
    """Y, Cb and Cr in the middle of the tenth picture, as they are stored."""
    chosen = ("-vf", "select=eq(n\\,10)", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
    raw = run(["ffmpeg", "-v", "error", "-i", str(path), *chosen])
    width, height = SIZE
    luma, chroma = width * height, width * height // 4
    middle, half = luma // 2 + width // 2, chroma // 2 + width // 4
    return raw[middle], raw[luma + half], raw[luma + chroma + half]


def hdr(folder: Path, *, code: int, transfer: str) -> Path:
    """One shade of grey, by its 10-bit code."""
    said = f"log-level=1:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited"
    codec = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", said)
    grey = f"format=yuv420p10le,lutyuv=y={code}:u=512:v=512"
    return made(
        folder, f"{transfer}_{code}.mp4", f"color=size={SIZE[0]}x{SIZE[1]}:rate=25", *codec, filters=grey
    )


@pytest.mark.parametrize(
    ("transfer", "code", "lowest", "highest"),
    [
        ("smpte2084", 64, 16, 18),  # black
        ("smpte2084", 573, 140, 200),  # 203 cd/m2: the white of a page, by ITU-R BT.2408
        ("smpte2084", 723, 228, 236),  # 1000 cd/m2
        ("arib-std-b67", 721, 140, 200),  # the same white
        ("arib-std-b67", 940, 228, 236),
    ],
)
async def test_high_dynamic_range_is_mapped_to_what_screens_show(
    transfer: str, code: int, lowest: int, highest: int, tmp_path: Path
):
    path = await treated(hdr(tmp_path, code=code, transfer=transfer), tmp_path)
    assert tags(path) == ["yuv420p", "tv", "bt709", "bt709", "bt709"]
    luma, blue, red = levels(path)
    assert lowest <= luma <= highest
    assert abs(blue - 128) <= 2
    assert abs(red - 128) <= 2


@pytest.mark.parametrize("transfer", ["smpte2084", "bt2020-10"])
@pytest.mark.parametrize("form", ["yuv420p10le", "yuv422p10le"])
async def test_wide_gamuts_of_odd_sizes_are_converted(transfer: str, form: str, tmp_path: Path):
    colours = ("-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc")
    codec = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", *colours)
    # Cut where every pixel has colours of its own: elsewhere filters make sizes even.
    odd = f"format=yuv444p10le,crop=97:65:0:0:exact=1,format={form}"
    path = made(tmp_path, "odd.mkv", "testsrc2=size=100x68:rate=25", *codec, filters=odd)
    assert size_of(path) == "97,65"
    out = await treated(path, tmp_path)
    assert tags(out) == ["yuv420p", "tv", "bt709", "bt709", "bt709"]
    assert size_of(out) == "96,64"


def size_of(path: Path) -> str:
    shown = ("-show_entries", "stream=width,height", "-of", "csv=p=0")
    return run(["ffprobe", "-v", "error", *shown, str(path)]).decode().strip()


async def test_pictures_in_rgb_get_the_matrix_that_they_are_labelled_with(tmp_path):
    codec = ("-c:v", "qtrle", "-pix_fmt", "rgb24")
    path = made(tmp_path, "red.mov", f"color=red:size={SIZE[0]}x{SIZE[1]}:rate=25", *codec)
    out = await treated(path, tmp_path)
    assert tags(out) == ["yuv420p", "tv", "bt709", "bt709", "bt709"]
    assert levels(out) == pytest.approx((63, 102, 240), abs=3)  # BT.601 would make it 81, 90, 240


async def test_full_range_becomes_video_range(tmp_path):
    path = made(
        tmp_path,
        "white.mov",
        f"color=white:size={SIZE[0]}x{SIZE[1]}:rate=25",
        *("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"),
    )
    out = await treated(path, tmp_path)
    assert tags(out)[:2] == ["yuv420p", "tv"]
    assert levels(out)[0] == pytest.approx(235, abs=1)


async def test_a_wide_gamut_of_ordinary_range_keeps_its_greys(tmp_path):
    said = "setparams=color_primaries=bt2020:color_trc=bt2020-10:colorspace=bt2020nc:range=tv"
    grey = f"format=yuv420p10le,lutyuv=y=502:u=512:v=512,{said}"
    codec = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=1")
    source = f"color=size={SIZE[0]}x{SIZE[1]}:rate=25"
    out = await treated(made(tmp_path, "wide.mkv", source, *codec, filters=grey), tmp_path)
    assert tags(out) == ["yuv420p", "tv", "bt709", "bt709", "bt709"]
    assert levels(out)[0] == pytest.approx(125, abs=3)


@pytest.mark.parametrize(
    ("primaries", "transfer", "matrix"),
    [
        ("smpte240m", "smpte240m", "smpte240m"),
        ("bt709", "bt1361e", "bt709"),
        ("smpte432", "smpte428", "bt709"),
        ("bt2020", "bt2020-10", "bt2020c"),
        ("bt2020", "smpte2084", "bt2020c"),
        ("bt2020", "smpte2084", "ictcp"),
        ("bt2020", "bt2020-10", "smpte2085"),
    ],
)
async def test_rare_colours_are_converted_too(primaries: str, transfer: str, matrix: str, tmp_path: Path):
    said = f"setparams=color_primaries={primaries}:color_trc={transfer}:colorspace={matrix}:range=tv"
    path = made(tmp_path, "rare.mp4", f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate=25", *x264(), filters=said)
    assert tags(path)[2:] == [matrix, transfer, primaries]
    assert tags(await treated(path, tmp_path)) == ["yuv420p", "tv", "bt709", "bt709", "bt709"]


@pytest.mark.parametrize(
    ("size", "said", "expected"),
    [
        ("96x64", "null", ["tv", "smpte170m", "smpte170m", "bt709"]),
        ("1280x16", "null", ["tv", "bt709", "bt709", "bt709"]),
        (
            "96x64",
            "setparams=color_primaries=bt470bg:color_trc=smpte170m:colorspace=bt470bg:range=tv",
            ["tv", "bt470bg", "smpte170m", "bt470bg"],
        ),
    ],
)
async def test_ordinary_colours_are_kept_and_labelled(size: str, said: str, expected: list[str], tmp_path):
    path = made(tmp_path, "plain.mp4", f"testsrc2=size={size}:rate=25", *x264(), filters=said)
    assert tags(await treated(path, tmp_path))[1:] == expected


async def test_woven_fields_are_taken_apart(source_folder, tmp_path):
    woven = Recipe(
        name="woven",
        suffix="mkv",
        size="320x180",
        rate="50",
        duration_s=2,
        filters="tinterlace=interleave_top,setfield=tff",
        video=x264("-flags", "+ilme+ildct", "-crf", "10"),
    ).make(source_folder)
    assert combed(woven) > 40
    assert combed(await treated(woven, tmp_path)) < 10


def combed(path: Path) -> int:
    """How many of the pictures look as if woven from two fields that were taken at different times."""
    looked = ("-i", str(path), "-vf", "setfield=prog,idet", "-f", "null", "-")
    done = subprocess.run(["ffmpeg", "-nostdin", *looked], check=True, capture_output=True, timeout=120)
    found = re.search(r"Multi frame detection: TFF:\s*(\d+) BFF:\s*(\d+)", done.stderr.decode())
    assert found
    return int(found[1]) + int(found[2])
