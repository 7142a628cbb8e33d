from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

from hypothesis import given
from hypothesis import strategies as st

from services.admin.files.sightings import by_key, by_partition, merged
from services.shared.content.holders import Copy
from services.shared.errors import UnavailableError

keys = st.integers(0, 30).map(lambda number: f"0123456789abcdef/{number}")


async def listing(found: Iterable[str], *, breaks: bool = False) -> AsyncGenerator[Copy, None]:
    for key in found:
        yield Copy(key, 1, b"", 0)
    if breaks:
        raise UnavailableError("The node went away.")


@given(held=st.dictionaries(st.sampled_from("abcd"), st.sets(keys), min_size=1))
async def test_each_key_is_seen_once_with_all_who_hold_it_in_the_order_of_the_ring(held):
    listings = {node: listing(sorted(names, key=by_partition)) for node, names in held.items()}
    sightings = [seen async for seen in merged(listings, by_partition, on_failure=lambda *_: None)]
    everything = sorted(set().union(*held.values()), key=by_partition)
    assert [seen.key for seen in sightings] == everything
    for seen in sightings:
        assert set(seen.copies) == {node for node, names in held.items() if seen.key in names}


async def test_a_list_that_breaks_off_is_told_and_the_others_go_on():
    listings = {"a": listing(["k1", "k2"], breaks=True), "b": listing(["k1", "k3"])}
    failures: dict[str, str] = {}
    sightings = [seen async for seen in merged(listings, by_key, on_failure=failures.__setitem__)]
    assert [(seen.key, sorted(seen.copies)) for seen in sightings] == [
        ("k1", ["a", "b"]),
        ("k2", ["a"]),
        ("k3", ["b"]),
    ]
    assert failures == {"a": "The node went away."}


async def test_lists_are_closed_when_nobody_reads_on():
    closed: list[str] = []

    async def endless(node: str) -> AsyncGenerator[Copy, None]:
        try:
            for number in range(1_000_000):
                yield Copy(f"{number:09}", 1, b"", 0)
        finally:
            closed.append(node)

    sightings = merged({node: endless(node) for node in "ab"}, by_key, on_failure=lambda *_: None)
    await anext(sightings)
    await sightings.aclose()
    assert sorted(closed) == ["a", "b"]
