"""How a command asks its server, and how it ends: output, one sentence about a failure, an exit code."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import typer
from pydantic import BaseModel

from services.admin.cli.client import AdminClient
from services.shared.errors import InvalidRequestError, TritonTubeError
from services.shared.lifecycle import EXIT_FAILED, EXIT_USAGE

T = TypeVar("T")

EXIT_INTERRUPTED: Final = 130
"""As shells tell of a program that was ended with Ctrl-C."""


def ask(server: str, question: Callable[[AdminClient], Awaitable[T]]) -> T:
    """The server's answer. A failure ends the command with its sentence."""

    async def answer() -> T:
        async with AdminClient.to(server) as client:
            return await question(client)

    with errors_told():
        return asyncio.run(answer())


@contextmanager
def errors_told() -> Iterator[None]:
    """Errors made on purpose become a sentence and an exit code."""
    try:
        yield
    except TritonTubeError as error:
        complain(str(error))
        usage = isinstance(error, InvalidRequestError)
        raise typer.Exit(EXIT_USAGE if usage else EXIT_FAILED) from error


def complain(sentence: str) -> None:
    """Say on standard error what is wrong."""
    print(f"tritontube-admin: {sentence}", file=sys.stderr)


def print_json(record: BaseModel, *, on_one_line: bool = False) -> None:
    """Print a record as JSON."""
    print(record.model_dump_json(indent=None if on_one_line else 2), flush=True)
