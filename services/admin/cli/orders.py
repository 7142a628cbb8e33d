"""A change that is ordered on the command line: previewed, asked for, waited for."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console

from services.admin.cli.asking import ask, print_json
from services.admin.cli.client import AdminClient, OriginalServerError
from services.admin.cli.following import follow
from services.admin.cli.input import (
    DEFAULT_SERVER,
    AsJson,
    DryRun,
    RequestId,
    ServerOption,
    Wait,
    is_address,
)
from services.admin.display.changes import recorded, show_preview
from services.admin.display.tables import count, show_lines
from services.admin.views.changes import PreviewView, RequestView, View
from services.shared.errors import InvalidRequestError, StrangerError, UnavailableError
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2 as pb

_ID_BYTES: Final = 5


class MovedView(View):
    """What an original TritonTube answers once a node is added or removed."""

    migrated_file_count: int


@dataclass(frozen=True, kw_only=True)
class Order:
    """How a change is to be done."""

    server: str
    dry_run: bool
    """Only tell what it would do."""
    wait: bool
    """Until it is done."""
    request_id: str
    as_json: bool

    def carry_out(self, change: pb.ChangeSpec) -> None:
        """Do what is ordered, print what came of it, and end with the exit code that says so."""
        if self.dry_run:
            self._preview(change)
            return
        found = ask(self.server, lambda client: self._ask_for(client, change))
        if isinstance(found, MovedView):
            self._print(found, f"Done; {count(found.migrated_file_count, 'file')} moved.")
        elif self.wait:
            follow(self.server, found.request_id, as_json=self.as_json)
        else:
            self._print(RequestView.of(found), recorded(found, self.server))

    def _preview(self, change: pb.ChangeSpec) -> None:
        preview = ask(self.server, lambda client: client.preview(change))
        if self.as_json:
            print_json(PreviewView.of(preview))
        else:
            show_preview(Console(), preview)

    async def _ask_for(self, client: AdminClient, change: pb.ChangeSpec) -> pb.ChangeRequest | MovedView:
        try:
            return await client.request(change, self.request_id)
        except StrangerError:
            raise
        except UnavailableError as error:
            raise UnavailableError(
                f"{error} To ask again is safe with --request-id {self.request_id}: nothing is done twice."
            ) from error
        except OriginalServerError:
            return await _asked_original(client, change)

    def _print(self, record: View, sentence: str) -> None:
        if self.as_json:
            print_json(record)
        else:
            show_lines(Console(), [sentence])


def changing(spec: Callable[..., pb.ChangeSpec]) -> Callable[..., None]:
    """A command from a function that makes its change.

    The function is given its words without the server's; the command has the options of all changes besides.
    """

    def command(
        words: list[str],
        *,
        server: str,
        dry_run: bool,
        wait: bool,
        request_id: str,
        as_json: bool,
        **own: Any,
    ) -> None:
        order = Order(
            server=words[0] or server,
            dry_run=dry_run,
            wait=wait,
            request_id=request_id or f"r-{secrets.token_hex(_ID_BYTES)}",
            as_json=as_json,
        )
        order.carry_out(spec(words[1:], **own))

    own = inspect.signature(spec, eval_str=True).parameters.values()
    command.__signature__ = inspect.Signature([*own, *_SHARED])  # type: ignore[attr-defined]
    command.__annotations__ = {}
    command.__name__, command.__doc__ = spec.__name__, spec.__doc__
    return command


def _option(name: str, kind: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


_SHARED: Final = (
    _option("server", ServerOption, DEFAULT_SERVER),
    _option("dry_run", DryRun, default=False),
    _option("wait", Wait, default=False),
    _option("request_id", RequestId, ""),
    _option("as_json", AsJson, default=False),
)


async def _asked_original(client: AdminClient, change: pb.ChangeSpec) -> MovedView:
    """Have an original TritonTube do the change, where it can.

    Raises:
        OriginalServerError: it can't.
        InvalidRequestError: a node that is not named by its address.
    """
    kind = change.WhichOneof("kind")
    if kind == "add" and change.add.weight == 1:
        return MovedView(migrated_file_count=await client.add_node(change.add.address))
    if kind != "drain":
        raise client.too_old()
    if not is_address(change.drain.node):
        raise InvalidRequestError("A server of the original TritonTube knows nodes by their host:port only.")
    return MovedView(migrated_file_count=await client.remove_node(change.drain.node))
