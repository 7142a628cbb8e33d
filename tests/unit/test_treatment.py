from __future__ import annotations

from dataclasses import replace

import pytest

from services.shared.treatment import Colours, Treatment
from services.transcoder.source import Look
from services.transcoder.treatment import treatment
from tests.unit.test_timeline import facts

PQ = Look(primaries="bt2020", transfer="smpte2084", matrix="bt2020nc")


def treated(look: Look, *, width: int = 1280, height: int = 720) -> Treatment:
    return treatment(replace(facts(width=width, height=height), look=look))


def label(look: Look, *, width: int = 1280, height: int = 720) -> tuple[str, str, str]:
    made = treated(look, width=width, height=height).label
    assert made is not None
    return made.primaries, made.transfer, made.matrix


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1920, 1080, ("bt709", "bt709", "bt709")),
        (1280, 544, ("bt709", "bt709", "bt709")),
        (720, 1280, ("bt709", "bt709", "bt709")),
        (768, 576, ("bt470bg", "smpte170m", "smpte170m")),
        (640, 480, ("smpte170m", "smpte170m", "smpte170m")),
        (640, 360, ("bt709", "smpte170m", "smpte170m")),
    ],
)
def test_pictures_that_say_nothing_of_their_colours_are_labelled_by_their_size(width, height, expected):
    assert label(Look(), width=width, height=height) == expected


def test_colours_of_ordinary_video_are_kept_and_labelled_as_they_are():
    said = Look(primaries="smpte170m", transfer="smpte170m", matrix="smpte170m")
    assert label(said, width=1920, height=1080) == ("smpte170m", "smpte170m", "smpte170m")
    assert treated(said).convert_from is None
    assert label(Look(matrix="bt709"), width=640, height=360) == ("bt709", "bt709", "bt709")


def test_high_dynamic_range_is_mapped_from_the_peak_that_it_tells_within_reason():
    assert treated(replace(PQ, peak_nits=800)).peak_nits == 800
    assert treated(PQ).peak_nits == 1000
    assert treated(replace(PQ, peak_nits=50_000)).peak_nits == 10_000
    assert treated(replace(PQ, peak_nits=1)).peak_nits == 200
    assert treated(PQ).label == Colours.bt709()


def test_hybrid_log_gamma_that_says_no_more_is_taken_for_bt2020():
    made = treated(Look(transfer="arib-std-b67"))
    assert made.convert_from == Colours(primaries="bt2020", transfer="arib-std-b67", matrix="bt2020nc")
    assert made.peak_nits == 1000


def test_a_wide_gamut_of_ordinary_range_is_converted_without_mapping_of_light():
    made = treated(Look(primaries="bt2020", matrix="bt2020nc", full_range=True))
    assert made.convert_from == Colours(primaries="bt2020", transfer="bt2020-10", matrix="bt2020nc")
    assert made.peak_nits is None
    assert made.full_range
    apple = treated(Look(primaries="smpte432", transfer="bt709", matrix="bt709"))
    assert apple.convert_from == Colours(primaries="smpte432", transfer="bt709", matrix="bt709")


@pytest.mark.parametrize(
    ("said", "taken_for"),
    [
        (("smpte240m", "smpte240m", "smpte240m"), ("smpte240m", "smpte170m", "smpte240m")),
        (("smpte432", "smpte428", "bt709"), ("smpte432", "bt470bg", "bt709")),
        (("bt2020", "smpte2084", "ictcp"), ("bt2020", "smpte2084", "ictcp")),
        (("bt709", "smpte2084", "ictcp"), ("bt709", "smpte2084", "bt2020nc")),
        (("bt2020", "bt2020-10", "bt2020c"), ("bt2020", "bt2020-10", "bt2020c")),
        (("bt2020", "smpte2084", "bt2020c"), ("bt2020", "smpte2084", "bt2020nc")),
        (("bt2020", "bt2020-10", "smpte2085"), ("bt2020", "bt2020-10", "bt2020nc")),
    ],
)
def test_colours_that_no_converter_knows_are_taken_for_the_nearest(said, taken_for):
    primaries, transfer, matrix = said
    made = treated(Look(primaries=primaries, transfer=transfer, matrix=matrix)).convert_from
    assert made is not None
    assert (made.primaries, made.transfer, made.matrix) == taken_for


def test_pictures_without_a_matrix_get_that_of_bt709():
    made = treated(Look(rgb=True), width=640, height=360)
    assert made.rgb
    assert made.label == Colours.bt709()
    assert made.convert_from is None


def test_woven_fields_are_taken_apart():
    assert treated(Look(interlaced=True)).interlaced
    assert treated(replace(PQ, interlaced=True)).interlaced
    assert not treated(Look()).interlaced
