"""Who a node is: ids that live on its data disk, and the claim of one process on that disk.

The identity follows the disk, not the address: the same disk under another address is the same node, and an
empty disk is a new one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from pydantic import ValidationError

from services.shared.errors import ConflictError
from services.shared.folders import explained
from services.shared.record import Record
from services.storage.disk.durable import replace_file, sync_folder

_FILE: Final = "node.json"
_LOCK: Final = "lock"


class _Content(Record):
    node_id: str
    disk_id: str
    cluster_id: str = ""


class Identity:
    """The ids in a data folder's `node.json`; an empty folder gets new ones.

    Raises:
        ConflictError: the file can't be understood. It is never replaced: the ring knows this disk by it.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / _FILE
        if self._path.exists():
            self._content = _read(self._path)
        else:
            self._save(_Content(node_id=f"node-{secrets.token_hex(4)}", disk_id=secrets.token_hex(16)))

    @property
    def node_id(self) -> str:
        """The node's name in the ring."""
        return self._content.node_id

    @property
    def disk_id(self) -> str:
        """Tells this disk from one that replaced it."""
        return self._content.disk_id

    @property
    def cluster_id(self) -> str:
        """The cluster that the disk belongs to; empty until it got a place in one."""
        return self._content.cluster_id

    def join(self, cluster_id: str) -> None:
        """Bind the disk to a cluster, for good. Blocks.

        Raises:
            ConflictError: it belongs to another one.
        """
        if self.cluster_id not in {"", cluster_id}:
            raise ConflictError(
                f"The node's disk belongs to cluster {self.cluster_id}, but etcd holds cluster {cluster_id}. "
                "Check the etcd endpoints, or start the node on an empty disk."
            )
        if not self.cluster_id:
            self._save(self._content.model_copy(update={"cluster_id": cluster_id}))

    def check_place(self) -> None:
        """Make sure that the folder is still this node's. Blocks.

        Raises:
            ConflictError: the file is gone, or another node's. One that can't be read proves nothing.
        """
        try:
            found = _Content.model_validate_json(self._path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise ConflictError(
                f"{self._path} is gone, so the folder is no longer that of {self.node_id}. "
                "Was it emptied, or its disk unmounted?"
            ) from None
        except (OSError, ValidationError):
            return
        if (found.node_id, found.disk_id) != (self.node_id, self.disk_id):
            raise ConflictError(
                f"{self._path} is that of {found.node_id} now, and no longer that of {self.node_id}. "
                "Was another disk mounted there?"
            )

    def _save(self, content: _Content) -> None:
        replace_file(self._path, content.encode())
        self._content = content


@contextmanager
def claimed(root: Path) -> Iterator[None]:
    """Hold the data folder for this process; it is made if it is missing.

    The claim is a lock of the kernel's, so it ends with the process however that ends.

    Raises:
        ConflictError: another process holds it, or nothing can be written there.
    """
    with _lock_file(root) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise ConflictError(
                f"{root} is in use by the storage node with process id {lock.read().strip() or 'unknown'}. "
                "Stop it first, or give this node a data folder of its own."
            ) from None
        with suppress(OSError):  # a full disk: the claim holds without the number
            os.ftruncate(lock.fileno(), 0)
            os.write(lock.fileno(), str(os.getpid()).encode())
        yield


def _lock_file(root: Path) -> TextIO:
    with explained(root):
        _make_durable(root)
        return (root / _LOCK).open("a+")


def _read(path: Path) -> _Content:
    try:
        return _Content.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConflictError(f"{path} is damaged: restore it, or start on an empty disk.") from error


def _make_durable(folder: Path) -> None:
    if not folder.exists():
        _make_durable(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
