"""Folders for generated sources."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def source_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where generated sources are kept during a test run."""
    return tmp_path_factory.mktemp("sources")
