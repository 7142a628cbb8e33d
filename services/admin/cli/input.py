"""What the commands are told: words in the order of the original TritonTube, and options.

The original has the server's address first: `add SERVER ADDRESS`, `remove SERVER NODE`. It may be left out
here, and is then that of `--server` or TRITONTUBE_ADMIN. So that no word can be taken for another:

- a command with a fixed number of words takes the first as the server if there is one more of them,
- a command with a word that may be left out knows the server by its form, host:port. Neither the id of a
  request nor the key of a file can have that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

DEFAULT_SERVER: Final = "127.0.0.1:8081"
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]{1,45}\]|[^\s:/\[\]]{1,253}):\d{1,5}")
_NODE: Final = re.compile(r"\S{1,260}")
_MAX_REQUEST_LENGTH: Final = 64
_MAX_KEY_LENGTH: Final = 200
_MAX_QUOTED_LENGTH: Final = 60
_SERVER_HELP: Final = "SERVER: admin address of a web instance, host:port; without it, that of --server."

Words = Callable[[list[str] | None], list[str]]


class PlainUsage(TyperCommand):
    """A command whose usage line has its words as they are described: `add [OPTIONS] [SERVER] ADDRESS`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line; those for words lose the signs for "one or more of these"."""
        pieces = super().collect_usage_pieces(ctx)
        return [piece[1:-4] if piece.endswith("...") else piece for piece in pieces]


def is_address(text: str) -> bool:
    """Whether this is `host:port`."""
    return _ADDRESS.fullmatch(text) is not None


def is_request(text: str) -> bool:
    """Whether this may be the id of a request."""
    return ":" not in text and len(text) <= _MAX_REQUEST_LENGTH


def is_key(text: str) -> bool:
    """Whether this may be the key of a file."""
    return "/" in text and len(text) <= _MAX_KEY_LENGTH


def _address(value: str | None) -> str | None:
    if value is not None and not is_address(value):
        raise typer.BadParameter(
            f"{_quoted(value)} is not an address; write host:port, for example localhost:8081."
        )
    return value


def _node(value: str) -> str:
    if not _NODE.fullmatch(value):
        raise typer.BadParameter(f"{_quoted(value)} is neither the id of a storage node nor its host:port.")
    return value


def _quoted(text: str) -> str:
    """What was typed, as part of a sentence; of what is no name at all, its beginning will do."""
    return repr(text if len(text) <= _MAX_QUOTED_LENGTH else f"{text[:_MAX_QUOTED_LENGTH]}...")


_CHECKS: Final[dict[str, Callable[[str], object]]] = {
    "SERVER": _address,
    "ADDRESS": _address,
    "NODE": _node,
}


def fixed_words(*names: str) -> Words:
    """Reads one word per name, behind the server or an empty word in its place."""

    def read(words: list[str] | None) -> list[str]:
        words = words or []
        if len(words) not in {len(names), len(names) + 1}:
            raise typer.BadParameter(f"write [SERVER] {' '.join(names)}.")
        found = words if len(words) > len(names) else ["", *words]
        for name, word in zip(("SERVER", *names), found, strict=True):
            if name in _CHECKS and (word or name != "SERVER"):
                _CHECKS[name](word)
        return found

    return read


def optional_word(name: str, fits: Callable[[str], bool]) -> Words:
    """Reads a word that may be left out, behind the server; what is left out is empty."""

    def read(words: list[str] | None) -> list[str]:
        rest = list(words or [])
        server = rest.pop(0) if rest and is_address(rest[0]) else ""
        word = rest.pop(0) if rest else ""
        if rest or (word and not fits(word)):
            raise typer.BadParameter(f"write [SERVER] [{name}]; SERVER is host:port.")
        return [server, word]

    return read


def _argument(read: Words, metavar: str, text: str = "") -> typer.models.ArgumentInfo:
    help_text = f"{text} {_SERVER_HELP}".lstrip()
    found: typer.models.ArgumentInfo = typer.Argument(
        metavar=metavar, help=help_text, callback=read, show_default=False
    )
    return found


_NODE_HELP: Final = "NODE: its id, or its host:port."

NoWords = Annotated[list[str] | None, _argument(fixed_words(), "[SERVER]")]
AddressWords = Annotated[
    list[str],
    _argument(fixed_words("ADDRESS"), "[SERVER] ADDRESS", "ADDRESS: of the new storage node, host:port."),
]
NodeWords = Annotated[list[str], _argument(fixed_words("NODE"), "[SERVER] NODE", _NODE_HELP)]
ReplaceWords = Annotated[
    list[str],
    _argument(
        fixed_words("NODE", "ADDRESS"), "[SERVER] NODE ADDRESS", f"{_NODE_HELP} ADDRESS: of the new one."
    ),
]
WeightWords = Annotated[
    list[str],
    _argument(
        fixed_words("NODE", "WEIGHT"), "[SERVER] NODE WEIGHT", f"{_NODE_HELP} WEIGHT: relative to the others."
    ),
]
RequestWords = Annotated[
    list[str] | None,
    _argument(
        optional_word("REQUEST", is_request),
        "[SERVER] [REQUEST]",
        "REQUEST: its id; without it, the change in progress.",
    ),
]
KeyWords = Annotated[
    list[str] | None,
    _argument(optional_word("KEY", is_key), "[SERVER] [KEY]", "KEY: of a file, VIDEO/FILE."),
]

Server = Annotated[
    str | None,
    typer.Argument(metavar="[SERVER]", help=_SERVER_HELP, callback=_address, show_default=False),
]
ServerOption = Annotated[
    str,
    typer.Option(
        "--server", help="The admin address, as an option.", envvar="TRITONTUBE_ADMIN", callback=_address
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="Print JSON, a document per line.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what it would move, and do nothing.")]
Wait = Annotated[bool, typer.Option("--wait", help="Show its progress, and return when it is done.")]
RequestId = Annotated[
    str,
    typer.Option(
        help="A name of your own for the request: given again, nothing is done twice.",
        show_default="a new one",
    ),
]
AcceptFewerCopies = Annotated[
    bool, typer.Option("--accept-fewer-copies", help="Also if fewer nodes are left than there are copies.")
]
AcceptDataLoss = Annotated[
    bool, typer.Option("--accept-data-loss", help="Also if files may be lost for good.")
]
