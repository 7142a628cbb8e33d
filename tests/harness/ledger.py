"""What must be true of files in the end, seen on the nodes' disks and not through the code under test."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from services.shared.content import StoredFile
from services.shared.errors import CorruptFileError
from services.shared.ring.placement import partition_of
from services.shared.ring.view import RingView
from services.storage.disk.objectfile import ObjectFile
from tests.harness.storage import StorageNode

_SHOWN: Final = 5


def objects(node: StorageNode) -> dict[str, Path]:
    """The objects on a node's disk, by name."""
    return {path.name: path for path in (node.data / "objects").glob("*/*/*")}


def misplaced(view: RingView, nodes: Iterable[StorageNode], files: Iterable[str]) -> list[str]:
    """What differs from "each of the files is on exactly its owners": a sentence each, the first few."""
    ids = {node.id: node for node in nodes}
    wrong: list[str] = []
    for key in files:
        owners = view.owners(partition_of(key))
        for node_id, node in ids.items():
            if (node_id in owners) != node.object_path(key).exists():
                wrong.append(
                    f"{key} is {'missing' if node_id in owners else 'left over'} on {node.data.name}"
                )
    return wrong[:_SHOWN]


async def damaged(nodes: Iterable[StorageNode], files: Mapping[str, StoredFile]) -> list[str]:
    """Copies whose bytes on disk are not those that were acknowledged."""
    return await asyncio.to_thread(_damaged, list(nodes), files)


def unsound(node: StorageNode) -> list[str]:
    """Objects on a node's disk, acknowledged or not, that are not whole."""
    return [name for name, path in objects(node).items() if not _is_whole(path)]


def _is_whole(path: Path) -> bool:
    try:
        with ObjectFile.open(path) as file:
            return _sha256(path, file.info.size_bytes) == file.info.sha256.hex()
    except CorruptFileError:
        return False


def _damaged(nodes: Iterable[StorageNode], files: Mapping[str, StoredFile]) -> list[str]:
    return [
        f"{key} is damaged on {node.data.name}"
        for node in nodes
        for key, file in files.items()
        if _sha256(node.object_path(key), file.size_bytes) not in {None, file.sha256}
    ]


def _sha256(path: Path, size_bytes: int) -> str | None:
    """Of an object's content, which its trailer follows; None: there is no such object."""
    try:
        with path.open("rb") as file:
            return hashlib.sha256(file.read(size_bytes)).hexdigest()
    except FileNotFoundError:
        return None
