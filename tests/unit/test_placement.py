"""Keys, hashes and partitions: the contract that every process and every version must agree on."""

from __future__ import annotations

import pytest

from services.shared.errors import InvalidRequestError
from services.shared.ring.placement import (
    PARTITIONS,
    check_key,
    key_hash,
    object_key,
    parse_key,
    partition_of,
    rendezvous_score,
)
from services.shared.video import new_video_id

VIDEO = "0123456789abcdef"


def test_the_hash_is_the_first_eight_bytes_of_sha256_big_endian():
    assert key_hash("abc") == 0xBA7816BF8F01CFEA


def test_the_partition_is_the_top_twelve_bits():
    assert partition_of("abc") == 0xBA7


def test_keys_spread_over_all_partitions():
    seen = {partition_of(f"{VIDEO}/{number}.m4s") for number in range(60_000)}
    assert len(seen) == PARTITIONS


@pytest.mark.parametrize("file", ["manifest.mpd", "v-g0-00001.m4s", "a", "A_b-c.9", "x" * 120])
def test_a_good_key_comes_back_taken_apart_and_whole(file):
    key = parse_key(f"{VIDEO}/{file}")
    assert key == (VIDEO, file)
    assert str(key) == check_key(str(key)) == object_key(VIDEO, file)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        VIDEO,
        f"{VIDEO}/",
        f"{VIDEO}/.hidden",
        f"{VIDEO}/..",
        f"{VIDEO}/../x",
        f"{VIDEO}/a/b",
        f"{VIDEO}/a b",
        f"{VIDEO}/a\n",
        f"{VIDEO}/a\x00",
        f"{VIDEO}/\N{LATIN SMALL LETTER E WITH ACUTE}",
        f"{VIDEO}/{'x' * 121}",
        "../../etc/passwd",
        "0123456789ABCDEF/a",
        "short/a",
        f"/{VIDEO}/a",
    ],
)
def test_a_malformed_key_is_refused(key):
    with pytest.raises(InvalidRequestError):
        check_key(key)


def test_fresh_video_ids_make_valid_keys():
    assert check_key(object_key(new_video_id(), "a.b"))


def test_rendezvous_scores_are_fixed_for_ever():
    assert rendezvous_score(0, "node-a") == 18404538906369937042
    assert rendezvous_score(0, "node-a") != rendezvous_score(1, "node-a") != rendezvous_score(1, "node-b")
