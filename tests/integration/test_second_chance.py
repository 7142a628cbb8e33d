"""`make test` gives tests a second chance that failed with nothing but a deadline, and no others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from tests.harness.second_chance import is_late
from tests.harness.waiting import DeadlineError, eventually

ROOT = Path(__file__).parents[2]
PARTS = ("unit", "property", "simulation", "integration", "e2e", "chaos")

SLOW_AT_FIRST = """
from pathlib import Path
from tests.harness.waiting import DeadlineError

def test_slow(name={name!r}):
    mark = Path(__file__).with_name(name)
    if not mark.exists():
        mark.touch()
        raise ExceptionGroup("of a task group", [DeadlineError("it comes: not within 1 s")])
"""
ALWAYS_SLOW = SLOW_AT_FIRST.replace("mark.touch()", "pass")
FINE = "def test_fine(): pass"
SLOW_AND_WRONG = SLOW_AT_FIRST + "\ndef test_wrong(): assert 1 == 2\n"
TOO_MANY = """
import pytest
from tests.harness.waiting import DeadlineError

@pytest.fixture(params=range(9))
def server(request): raise DeadlineError("the server answers: not within 1 s")

def test_server(server): pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that is tested as this one is: the same script, and passing tests in each folder."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/test", tmp_path / "scripts/test")
    program = tmp_path / ".venv/bin/pytest"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m pytest -p tests.harness.second_chance "$@"\n')
    program.chmod(0o755)
    for part in PARTS:
        for name in ("early", "halfway", "late"):  # services' tests are divided by their names
            with_tests(tmp_path, part, name, FINE)
    return tmp_path


def with_tests(project: Path, part: str, name: str, text: str) -> None:
    folder = project / "tests" / part
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"test_{name}_{part}.py").write_text(text.replace("{name!r}", repr(f"{name}.mark")))


def make_test(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scripts/test"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_what_ran_out_of_time_is_run_once_more_alone_and_named(project: Path) -> None:
    with_tests(project, "integration", "slow", SLOW_AT_FIRST)
    with_tests(project, "e2e", "slow", SLOW_AT_FIRST)
    run = make_test(project)
    assert run.returncode == 0, run.stdout
    _, again, told = run.stdout.split("\n--- ")[-3:]
    assert "2 passed" in again
    assert told.startswith("a deadline ran out at first, and these were run once more, alone: they passed\n")
    assert "tests/integration/test_slow_integration.py::test_slow\n    call: " in told
    assert "tests/e2e/test_slow_e2e.py::test_slow\n    call: " in told
    assert "it comes: not within 1 s" in told


def test_what_runs_out_of_time_again_has_failed(project: Path) -> None:
    with_tests(project, "integration", "slow", ALWAYS_SLOW)
    run = make_test(project)
    assert run.returncode != 0
    assert "these were run once more, alone: not all passed" in run.stdout


@pytest.mark.parametrize("text", [SLOW_AND_WRONG, TOO_MANY], ids=["slow and wrong", "too many"])
def test_nothing_else_is_run_again(project: Path, text: str) -> None:
    with_tests(project, "e2e", "bad", text)
    run = make_test(project)
    assert run.returncode == 1
    assert "once more" not in run.stdout


def failed(message: str) -> BaseException:
    with pytest.raises(pytest.fail.Exception) as caught:
        pytest.fail(message)
    return caught.value


@pytest.mark.parametrize(
    ("error", "late"),
    [
        (DeadlineError("not within 1 s"), True),
        (PlaywrightTimeoutError("Timeout 30000ms exceeded."), True),
        (failed("Timeout (>300.0s) from pytest-timeout."), True),
        (failed("the server does not start"), False),
        (AssertionError("1 == 2"), False),
        (TimeoutError("the product said so"), False),
        (ExceptionGroup("", [DeadlineError(""), ExceptionGroup("", [DeadlineError("")])]), True),
        (ExceptionGroup("", [DeadlineError(""), ValueError("")]), False),
    ],
    ids=repr,
)
def test_only_deadlines_of_the_tests_themselves_count(error: BaseException, *, late: bool) -> None:
    assert is_late(error) is late


async def test_a_deadline_does_not_hide_a_wrong_value() -> None:
    def wrong() -> None:
        raise AssertionError("the video has failed")

    with pytest.raises(DeadlineError) as caught:
        await eventually(wrong, deadline_s=0.1)
    assert not is_late(caught.value)
