from __future__ import annotations

import pytest

from services.transcoder.sample_entry import codec_string


@pytest.mark.parametrize(
    ("kind", "configuration", "expected"),
    [
        (b"avc1", "0164001fffe1", "avc1.64001f"),
        (b"avc1", "0142c00dffe1", "avc1.42c00d"),
        (b"hvc1", "01 01 60000000 900000000000 3c", "hvc1.1.6.L60.90"),
        (b"hvc1", "01 22 20000000 b00000000000 99", "hvc1.2.4.H153.B0"),
        (b"hvc1", "01 41 60000000 000000000000 5d", "hvc1.A1.6.L93"),
        (b"hvc1", "01 01 60000000 900100000000 5d", "hvc1.1.6.L93.90.1"),
        (b"vp09", "01000000 00 1f 80 0202020000", "vp09.00.31.08"),
        (b"vp09", "01000000 02 33 a2 0909100000", "vp09.02.51.10"),
        (b"av01", "81 05 0c 00", "av01.0.05M.08"),
        (b"av01", "81 0d 4c 00", "av01.0.13M.10"),
        (b"av01", "81 50 ec 00", "av01.2.16H.12"),
    ],
)
def test_each_codec_is_named_as_its_binding_says(kind, configuration, expected):
    assert codec_string(kind, bytes.fromhex(configuration)) == expected


@pytest.mark.parametrize("kind", [b"avc1", b"hvc1", b"vp09", b"av01"])
def test_a_configuration_that_ends_early_is_no_codec(kind):
    with pytest.raises(IndexError):
        codec_string(kind, b"\x01")
