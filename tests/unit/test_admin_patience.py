"""How long an operator's question may take."""

from __future__ import annotations

import asyncio

import pytest

from services.admin.patience import patience
from services.shared.errors import UnavailableError


async def test_what_takes_too_long_ends_with_one_thing_to_do():
    """How to ask again, the command knows: whoever asked for a change without an id has none to repeat."""
    with pytest.raises(UnavailableError) as caught:
        async with patience(limit_s=0.001):
            await asyncio.Event().wait()
    assert str(caught.value) == "etcd, or a storage node, did not answer in time: ask again later."
