"""Small pictures of a whole video, for finding one's way on the seek bar: how they lie on their sheets. Pure.

There is one picture for each segment, or for every so many of them in a long video; it shows the segment's
first frame. Sheets are grids of pictures, all of the same form; the last one may not be full.
"""

from __future__ import annotations

from typing import Final

from services.shared.record import Record
from services.shared.webvtt import timestamp

_LONG_SIDE: Final = 160
_GRID: Final = 5
"""Pictures per row and rows per sheet: some 60 kB, which is there before a hand has moved on."""

_MAX_PICTURES: Final = 1_000


class Storyboard(Record):
    """The pictures of one video."""

    stride: int
    """Segments from one picture to the next."""
    pictures: int
    columns: int
    rows: int
    tile_width: int
    tile_height: int
    size_bytes: int = 0
    """Of all sheets."""

    @property
    def per_sheet(self) -> int:
        """Pictures on a full sheet."""
        return self.columns * self.rows

    @property
    def sheets(self) -> int:
        """How many there are."""
        return -(-self.pictures // self.per_sheet)

    def segments_of(self, sheet: int) -> range:
        """The segments whose first frames a sheet shows."""
        first = sheet * self.per_sheet
        after = min(first + self.per_sheet, self.pictures)
        return range(first * self.stride, after * self.stride, self.stride)


def storyboard_of(*, segments: int, width: int, height: int) -> Storyboard:
    """How the pictures of a video of so many segments are laid out; `width` and `height` are the video's."""
    stride = -(-segments // _MAX_PICTURES)
    pictures = -(-segments // stride)
    columns = min(_GRID, pictures)
    return Storyboard(
        stride=stride,
        pictures=pictures,
        columns=columns,
        rows=min(_GRID, -(-pictures // columns)),
        tile_width=_side(width, max(width, height)),
        tile_height=_side(height, max(width, height)),
    )


def sheet_file(generation: int, number: int) -> str:
    """File name of a sheet. `number` counts from 0."""
    return f"storyboard-g{generation}-{number:05d}.jpg"


def sheet_template(generation: int) -> str:
    """What `sheet_file` says, as a DASH template that players fill in."""
    return f"storyboard-g{generation}-$Number%05d$.jpg"


def index_file(generation: int) -> str:
    """File name of the list that tells which picture on which sheet stands for which time."""
    return f"storyboard-g{generation}.vtt"


def storyboard_files(storyboard: Storyboard, generation: int) -> list[str]:
    """Names of all files of a storyboard."""
    return [index_file(generation), *(sheet_file(generation, n) for n in range(storyboard.sheets))]


def index(storyboard: Storyboard, generation: int, *, picture_s: float, duration_s: float) -> bytes:
    """The list: WebVTT whose texts are parts of sheets, as media fragments say it (`#xywh=…`).

    Args:
        storyboard: what it lists.
        generation: in the names of the sheets.
        picture_s: for how long a picture stands.
        duration_s: of the video.
    """
    cues = (
        f"{_time(number * picture_s)} --> {_time(min((number + 1) * picture_s, duration_s))}\n"
        f"{_part(storyboard, generation, number)}\n"
        for number in range(storyboard.pictures)
    )
    return "\n".join(["WEBVTT\n", *cues]).encode()


def _part(storyboard: Storyboard, generation: int, picture: int) -> str:
    sheet, place = divmod(picture, storyboard.per_sheet)
    row, column = divmod(place, storyboard.columns)
    width, height = storyboard.tile_width, storyboard.tile_height
    return f"{sheet_file(generation, sheet)}#xywh={column * width},{row * height},{width},{height}"


def _time(seconds: float) -> str:
    return timestamp(round(seconds * 1000))


def _side(side: int, long_side: int) -> int:
    """A side of the picture that fits: even, as JPEG's coarser colours want it."""
    return max(2, round(side * _LONG_SIDE / long_side / 2) * 2)
