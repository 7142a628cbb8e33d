"""Damaged videos, the same ones each time. `make soak` tries many more."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from tests.fuzz.hunt import Verdict, try_seed
from tests.fuzz.mutation import mutant
from tests.fuzz.originals import originals

pytestmark = pytest.mark.timeout(900)

FILES: Final = 40
AT_A_TIME: Final = 3


async def test_whatever_is_damaged_in_a_file_it_is_refused_or_encoded_as_far_as_it_goes(source_folder):
    material = originals(source_folder)
    slots = asyncio.Semaphore(AT_A_TIME)

    async def tried(seed: int) -> Verdict:
        async with slots:
            return await try_seed(seed, material)

    verdicts = await asyncio.gather(*(tried(seed) for seed in range(FILES)))
    assert not [verdict for verdict in verdicts if verdict.fault]
    refused = sum(1 for verdict in verdicts if verdict.digested.refusal)
    assert 0 < refused < FILES, "the damage is too little or too much to show anything"


def test_the_same_seed_damages_the_same_file_in_the_same_way(source_folder):
    material = originals(source_folder)
    assert [mutant(seed, material) for seed in range(50)] == [mutant(seed, material) for seed in range(50)]
    assert all(mutant(seed, material) not in material for seed in range(50))
