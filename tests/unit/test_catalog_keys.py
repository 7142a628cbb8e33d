from __future__ import annotations

import pytest

from services.shared.catalog.keys import graves


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("720p-g3-00012.m4s", ("v", "v.g3", "v.g3.720p")),
        ("poster-g0.jpg", ("v", "v.g0", "v.g0.poster")),
        ("source-00001.part", ("v", "v.original")),
        ("remuxed-g2-00001.part", ("v", "v.g2", "v.g2.remuxed", "v.original")),
    ],
)
def test_a_file_lies_under_the_tombstones_of_all_that_it_belongs_to(file, names):
    assert graves("v", file) == names
