"""The entry point that every service's `__main__` shares: settings, logs, then the composition root."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from services.shared import lifecycle, telemetry
from services.shared.allocator import keep_freed_memory
from services.shared.errors import TritonTubeError
from services.shared.settings import Settings, load

S = TypeVar("S", bound=Settings)


def main(
    kind: type[S],
    serve: Callable[[S, asyncio.Event], Awaitable[None]],
    *,
    name: str,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a service from the command line; every one of its settings is an option.

    Args:
        kind: the service's settings.
        serve: its composition root, which runs until the event is set.
        name: its package, for the usage line.
        arguments: the command line, without the program; None: this process's own.

    Returns:
        The exit code: 0 after a clean stop, 1 when the service failed, 2 for settings that do not fit.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=kind.__doc__)
    for field_name, field in kind.model_fields.items():
        parser.add_argument(f"--{field_name.replace('_', '-')}", help=field.description)
    try:
        settings = load(kind, **vars(parser.parse_args(arguments)))
    except TritonTubeError as error:
        sys.stderr.write(f"{error}\n")
        return lifecycle.EXIT_USAGE
    keep_freed_memory()
    telemetry.set_up(settings)
    return lifecycle.run(lambda stop: serve(settings, stop))
