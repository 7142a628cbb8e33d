from __future__ import annotations

from typing import Any

from services.transcoder.look import is_encrypted, look_of
from services.transcoder.source import UNKNOWN, Look

HDR: dict[str, Any] = {
    "type": "frame",
    "pix_fmt": "yuv420p10le",
    "interlaced_frame": 0,
    "color_range": "tv",
    "color_space": "bt2020nc",
    "color_primaries": "bt2020",
    "color_transfer": "smpte2084",
    "side_data_list": [{"max_luminance": "40000000/10000"}, {"max_content": 800}, {}],
}
PACKET = {"type": "packet", "flags": "K_"}


def frame(**said: Any) -> dict[str, Any]:
    return {"type": "frame", "pix_fmt": "yuv420p", **said}


def test_the_first_picture_tells_how_all_are_to_be_read():
    assert look_of([PACKET, HDR, frame()]) == Look(
        primaries="bt2020", transfer="smpte2084", matrix="bt2020nc", peak_nits=800
    )


def test_the_screen_it_was_mastered_on_bounds_the_light_where_the_brightest_pixel_is_not_told():
    look = look_of([HDR | {"side_data_list": [{"max_luminance": "40000000/10000"}]}])
    assert look is not None
    assert look.peak_nits == 4000


def test_nonsense_about_the_light_is_not_believed():
    for said in ("0", "1/0", "bright", "0/0"):
        look = look_of([HDR | {"side_data_list": [{"max_luminance": said}]}])
        assert look is not None
        assert look.peak_nits is None


def test_what_is_not_said_or_reserved_is_unknown():
    look = look_of([frame(color_space="reserved", color_transfer="unknown")])
    assert look == Look(matrix=UNKNOWN, transfer=UNKNOWN)


def test_one_picture_of_two_fields_is_enough_to_be_careful():
    look = look_of([frame(interlaced_frame=0), frame(interlaced_frame=1)])
    assert look is not None
    assert look.interlaced


def test_range_and_kind_of_pixels_are_told_by_their_format():
    jpeg, screen, planar = (look_of([frame(pix_fmt=name)]) for name in ("yuvj420p", "bgr0", "gbrp10le"))
    assert jpeg == Look(full_range=True)
    assert screen == planar == Look(rgb=True)
    assert look_of([frame(color_range="pc")]) == Look(full_range=True)


def test_packets_without_pictures_have_no_look_and_may_tell_that_they_are_encrypted():
    protected = PACKET | {"side_data_list": [{"side_data_type": "Encryption info"}]}
    assert look_of([PACKET, protected]) is None
    assert is_encrypted([PACKET, protected])
    assert not is_encrypted([PACKET, HDR])
