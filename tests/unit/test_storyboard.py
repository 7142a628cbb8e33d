import pytest

from services.shared.storyboard import index, sheet_file, storyboard_files, storyboard_of
from services.shared.webvtt import parse


def test_a_short_video_has_one_sheet_no_larger_than_needed():
    board = storyboard_of(segments=3, width=426, height=240)
    assert (board.pictures, board.columns, board.rows, board.sheets) == (3, 3, 1, 1)
    assert (board.tile_width, board.tile_height) == (160, 90)
    assert [*board.segments_of(0)] == [0, 1, 2]


def test_a_longer_one_has_full_sheets_and_a_last_one():
    board = storyboard_of(segments=60, width=426, height=240)
    assert (board.columns, board.rows, board.sheets) == (5, 5, 3)
    assert [*board.segments_of(2)] == [*range(50, 60)]


def test_the_longest_have_a_bounded_number_of_pictures():
    board = storyboard_of(segments=24 * 900, width=426, height=240)
    assert board.stride == 22
    assert board.pictures == 982
    shown = [segment for sheet in range(board.sheets) for segment in board.segments_of(sheet)]
    assert shown == [*range(0, 24 * 900, 22)]


@pytest.mark.parametrize(
    ("size", "tile"),
    [((240, 426), (90, 160)), ((240, 240), (160, 160)), ((2400, 16), (160, 2)), ((426, 240), (160, 90))],
)
def test_pictures_have_the_videos_form(size, tile):
    board = storyboard_of(segments=1, width=size[0], height=size[1])
    assert (board.tile_width, board.tile_height) == tile


def test_the_index_says_which_part_of_which_sheet_stands_for_which_time():
    board = storyboard_of(segments=27, width=426, height=240)
    cues = parse(index(board, 3, picture_s=4.004, duration_s=107.5).decode())
    assert len(cues) == 27
    assert (cues[6].start_ms, cues[6].end_ms) == (24_024, 28_028)
    assert cues[6].text == "storyboard-g3-00000.jpg#xywh=160,90,160,90"
    assert cues[25].text == "storyboard-g3-00001.jpg#xywh=0,0,160,90"
    assert cues[26].end_ms == 107_500


def test_its_files_are_the_index_and_the_sheets():
    board = storyboard_of(segments=27, width=426, height=240)
    assert storyboard_files(board, 3) == ["storyboard-g3.vtt", sheet_file(3, 0), sheet_file(3, 1)]
