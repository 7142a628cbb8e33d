"""`tritontube web|transcoder|storage`: one service alone, every setting of it offered as an option.

The options are made from the settings' own fields, so the two cannot drift apart, and handed on as the
environment variables they stand for.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer
from pydantic.fields import FieldInfo

from services.shared.settings import Settings


def service_command(service: str, kind: type[Settings], *, help_text: str) -> Callable[..., NoReturn]:
    """A command function that turns this process into `python -m services.<service>`."""

    def command(**given: str | None) -> NoReturn:
        chosen = {variable(name): value for name, value in given.items() if value is not None}
        argv = [sys.executable, "-P", "-m", f"services.{service}"]
        os.execve(sys.executable, argv, {**os.environ, **chosen})  # noqa: S606 - no shell wanted

    parameters = [_parameter(name, field) for name, field in kind.model_fields.items()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = help_text
    return command


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return f"TRITONTUBE_{field.upper()}"


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=_describe(name, field),
        metavar="VALUE",
        rich_help_panel="Settings",
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def _describe(name: str, field: FieldInfo) -> str:
    text = f"{field.description or ''} [{variable(name)}"
    if field.default_factory is None and field.default is not None:
        text += f", default {_show(field.default)}"
    return f"{text}]".strip()


def _show(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
