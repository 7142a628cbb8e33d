"""What a stack consists of: the numbers a user may choose, remembered in the stack's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.local.files import damaged, replace_text
from services.shared.errors import ConflictError, InvalidRequestError

_FILE: Final = "stack.json"


class Shape(BaseModel):
    """How many of each process, and how many copies of each file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    etcd_nodes: int = Field(default=3, ge=1, le=7)
    storage_nodes: int = Field(default=3, ge=1, le=32)
    transcoders: int = Field(default=2, ge=0, le=64)
    webs: int = Field(default=1, ge=1, le=16)
    replicas: int = Field(default=2, ge=1, le=7)

    @property
    def shortage(self) -> str:
        """What there is to say of more copies than nodes to keep them; empty where there are enough."""
        copies, nodes = self.replicas, self.storage_nodes
        return (
            f"{copies} copies of each file need {copies} storage nodes, not {nodes}."
            if copies > nodes
            else ""
        )

    @classmethod
    def remembered(cls, folder: Path) -> Self | None:
        """The shape of the stack that this folder belongs to; None for a new one.

        Raises:
            ConflictError: the file that says so is damaged.
        """
        file = folder / _FILE
        if not file.exists():
            return None
        try:
            return cls.model_validate_json(file.read_bytes())
        except ValidationError:
            raise damaged(file) from None

    def remember(self, folder: Path) -> None:
        """Keep this shape for the next start."""
        replace_text(folder / _FILE, self.model_dump_json(indent=2) + "\n")


def settle(wanted: dict[str, int | None], before: Shape | None, *, alone: bool = True) -> Shape:
    """The shape to start: what was asked for, else what it was before, else the defaults.

    Copies that nobody asked for are no reason to refuse: a single node begins with one, and more come with
    the nodes. Neither are those of a stack that exists, which would be out of reach.

    Args:
        wanted: fields of `Shape`; None: not asked for.
        before: the shape of the stack so far; None for a new one.
        alone: whether nobody else's storage nodes belong to the same cluster.

    Raises:
        ConflictError: it asks for a change that the stack's data does not survive.
        InvalidRequestError: it asks for more copies than there are nodes to keep them.
    """
    given = {name: number for name, number in wanted.items() if number is not None}
    shape = (before or Shape()).model_copy(update=given)
    if before:
        _check_change(before, shape)
    elif alone and "replicas" in given and shape.shortage:
        raise InvalidRequestError(
            f"{shape.shortage} Start at least as many with --storage-nodes, or choose fewer copies with "
            "--replicas."
        )
    return shape


def _check_change(before: Shape, after: Shape) -> None:
    if after.etcd_nodes != before.etcd_nodes:
        raise ConflictError(
            f"This stack's etcd cluster has {before.etcd_nodes} members, and its data lies on all of them. "
            f"Leave --etcd-nodes out, or start a new stack with another --data."
        )
    if after.storage_nodes < before.storage_nodes:
        raise ConflictError(
            f"This stack keeps its files on {before.storage_nodes} storage nodes. Start all of them, and "
            "take nodes out of the ring with `tritontube-admin remove`, or start a new stack with --data."
        )
    if after.replicas != before.replicas:
        raise ConflictError(
            f"This stack keeps {before.replicas} copies of each file, fixed when its ring was formed. "
            "Leave --replicas out, or start a new stack with another --data."
        )
