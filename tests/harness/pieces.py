"""What has to hold for a video that was put together from pieces."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tests.harness.media import Transcoded, decoded, picture_checksums, whole


def check_tracks(done: Transcoded, folder: Path) -> None:
    """Every rendition decodes without complaint and has all frames, each at its place on the grid.

    They are left in the folder, under their names.
    """
    for rendition in done.plan.renditions:
        path = done.collector.write(rendition.name, folder / f"{rendition.name}.mp4")
        frames, times = decoded(path)
        assert frames == done.frames
        ticks = done.plan.timescale * done.plan.fps.den // done.plan.fps.num
        assert sorted(times) == [frame * ticks for frame in range(done.frames)]


def check_pictures(done: Transcoded, *, lost: Collection[int] = ()) -> None:
    """The encoder gets the pictures that it gets in a single run, wherever a piece starts to read.

    Args:
        done: the video.
        lost: the places of pictures that are lost in a single run, too.
    """
    lowest = done.plan.renditions[0].name
    joined: dict[int, str] = {}
    for piece in (task.piece for task in done.tasks if task.piece and lowest in task.piece.renditions):
        pictures, *others = (
            picture_checksums(done.source, done.plan, piece, seek_s=seek_s) for seek_s in piece.seeks_s
        )
        assert all(other == pictures for other in others)
        assert not joined.keys() & pictures.keys()
        joined |= pictures
    assert joined == picture_checksums(done.source, done.plan, whole(done.plan), seek_s=None)
    assert sorted(joined) == [place for place in range(done.frames) if place not in lost]
