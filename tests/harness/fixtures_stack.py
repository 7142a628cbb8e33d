"""Whole stacks for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.stack import Stack, end, running_stack

LADDER = Path(__file__).with_name("ladder.toml")


@pytest_asyncio.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One stack as `make run` starts it, shared by the whole run: kill its children, but leave it whole."""
    env = {"TRITONTUBE_LADDER": str(LADDER)}
    async with running_stack(tmp_path_factory.mktemp("stack") / "data", env=env) as whole:
        yield whole


SMALL = ("--etcd-nodes", "1", "--storage-nodes", "1", "--transcoders", "1", "--replicas", "1")
"""One process of each kind."""


@pytest_asyncio.fixture
async def own_stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A small stack for one test to do with as it likes. Not started yet."""
    stack = Stack(data=tmp_path / "data", options=SMALL)
    yield stack
    await end(stack)
