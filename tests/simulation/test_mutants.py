"""The simulation can fail: it notices when a rule of the protocol, or a part of one, is missing."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.world import simulate

STARRED = {"fence", "write", "read", "sync", "commit", "delete", "empty", "one change at a time"}


MORE_SEEDS = range(500)
"""Tried where a mutant's own seed has lost its point: any change of the code shifts what happens when."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_protocol_without_one_of_its_rules_is_caught(mutant):
    with mutant.patch():
        seed = next((seed for seed in (mutant.seed, *MORE_SEEDS) if simulate(seed).violation), None)
    assert seed is not None, "nothing was noticed"
    whole = simulate(seed)
    assert not whole.violation, str(whole)


def test_every_rule_that_protects_files_has_a_mutant():
    assert {mutant.rule for mutant in MUTANTS} == STARRED
