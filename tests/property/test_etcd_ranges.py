"""Prefix ranges hold for any bytes."""

from hypothesis import given
from hypothesis import strategies as st

from services.shared.etcd.ranges import prefix_end

# Few distinct bytes, so that prefixes meet; the highest one among them.
KEYS = st.lists(st.sampled_from([0x00, 0x61, 0x7A, 0xFE, 0xFF]), max_size=5).map(bytes)


@given(prefix=KEYS, key=KEYS)
def test_a_key_lies_in_the_range_exactly_when_it_begins_with_the_prefix(prefix, key):
    end = prefix_end(prefix)
    in_range = key >= prefix and (end == b"\x00" or key < end)
    assert in_range is key.startswith(prefix)
