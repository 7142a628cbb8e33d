"""Key ranges."""

import pytest

from services.shared.etcd.ranges import after, decode_key, encode_key, prefix_end, prefix_range


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        (b"videos/", b"videos0"),
        (b"a", b"b"),
        (b"z\xff", b"{"),
        (b"z\xff\xff", b"{"),
        (b"a\xffb", b"a\xffc"),
        (b"\xff", b"\x00"),
        (b"\xff\xff", b"\x00"),
        (b"", b"\x00"),
    ],
)
def test_a_prefix_ends_before_the_next_key_that_lacks_it(prefix, end):
    assert prefix_end(prefix) == end


def test_the_empty_prefix_is_the_whole_store():
    assert prefix_range("") == (b"\x00", b"\x00")


def test_the_next_page_begins_right_behind_the_last_key():
    assert b"key" < after(b"key") < b"key\x00\x00"
    assert after(b"key") < b"keya"


@pytest.mark.parametrize("key", [b"plain", "ü🎬".encode(), b"\xff\xfe\x80", b""])
def test_any_bytes_survive_as_a_key_of_text(key):
    assert encode_key(decode_key(key)) == key
