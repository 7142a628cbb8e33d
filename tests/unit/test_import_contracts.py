"""What modules say of themselves, the import contracts in pyproject.toml hold them to."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def import_contracts() -> list[dict[str, Any]]:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return contracts


def pure_contracts() -> list[dict[str, Any]]:
    return [contract for contract in import_contracts() if contract["name"].startswith("Pure modules")]


def modules_that_say_they_are_pure() -> Iterator[str]:
    for path in sorted((ROOT / "services").rglob("*.py")):
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        if re.search(r"\bPure\b", said):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("module", list(modules_that_say_they_are_pure()))
def test_a_module_that_says_it_is_pure_is_held_to_it(module: str):
    held = [name for contract in pure_contracts() for name in contract["source_modules"]]
    assert any(module == name or module.startswith(f"{name}.") for name in held)


def test_pure_modules_are_kept_from_every_outside_client():
    clients = {"aio_pika", "asyncio", "ffmpeg", "grpc", "prometheus_client", "subprocess"}
    for contract in pure_contracts():
        assert clients <= {*contract["forbidden_modules"]}
        assert not contract.get("allow_indirect_imports")
        assert "ignore_imports" not in contract


@pytest.mark.parametrize("client", ["aio_pika", "ffmpeg", "prometheus_client"])
def test_a_client_is_forbidden_to_all_modules_but_its_own(client: str):
    (contract,) = (
        contract
        for contract in import_contracts()
        if contract["name"].startswith("Only") and client in contract["forbidden_modules"]
    )
    assert contract["source_modules"] == ["services"]
    assert [ignored.split(" -> ")[1] for ignored in contract["ignore_imports"]] == [client]
