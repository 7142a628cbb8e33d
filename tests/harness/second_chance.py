"""A second chance for deadlines, and for nothing else.

`make test` runs parts of the tests side by side, on whatever machine there is. They wait for conditions, with
deadlines; when one runs out there, that may tell of the machine and not of the product. So `--late-to FILE`
notes the tests that failed with nothing but deadlines, and the exit status says whether these were all.
`scripts/test` runs them once more when the machine has nothing else to do, in a process of their own: there
they must pass.

A wrong value is never tried again, nor is any other exception: what may be wrong once in a while is wrong.
(Plugins that repeat tests do it at once, in the same process, on the same machine with the same load.)
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from tests.harness.waiting import DeadlineError

ONLY_LATE: Final = 75
"""The exit status where all that failed did so with deadlines: `EX_TEMPFAIL` of sysexits.h."""


def is_late(error: BaseException) -> bool:
    """Whether a deadline ran out, and nothing else is wrong.

    Deadlines are those of `tests.harness.waiting`, Playwright's and pytest-timeout's. Where the last look at
    what was waited for failed in an assertion, something was wrong and stayed so.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_late, error.exceptions))
    if isinstance(error, pytest.fail.Exception):
        return str(error).endswith(" from pytest-timeout.")
    if isinstance(error, DeadlineError):
        return not isinstance(error.__cause__, AssertionError)
    return isinstance(error, PlaywrightTimeoutError)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--late-to",
        type=Path,
        metavar="FILE",
        help="write the tests that failed with nothing but deadlines to FILE, and how to FILE.why; "
        f"exit with {ONLY_LATE} if these are all that failed",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take notes, if that is wanted."""
    if file := config.getoption("--late-to"):
        config.pluginmanager.register(_Notes(file))


class _Notes:
    """The tests of one run that failed, and the first that each failed with."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._late: dict[str, str] = {}
        self._wrong: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            if call.excinfo and is_late(call.excinfo.value):
                self._late.setdefault(item.nodeid, f"{report.when}: {_told(call.excinfo.value)}")
            else:
                self._wrong.add(item.nodeid)
        return report

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        late = {test: why for test, why in self._late.items() if test not in self._wrong}
        whys = [f"{test}\n    {why}\n" for test, why in late.items()]
        self._file.write_text("".join(f"{test}\n" for test in late))
        self._file.with_name(f"{self._file.name}.why").write_text("".join(whys))
        if exitstatus == pytest.ExitCode.TESTS_FAILED and late and not self._wrong:
            session.exitstatus = ONLY_LATE


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_told, error.exceptions))
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
