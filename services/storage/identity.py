"""Who a node is: ids that live on its data disk, and the claim of one process on that disk.

The identity follows the disk, not the address: the same disk under another address is the same node, and an
empty disk is a new one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from services.shared.errors import ConflictError
from services.shared.video import Record

_FILE: Final = "node.json"
_LOCK: Final = "lock"


class Identity(Record):
    """The content of `node.json`."""

    node_id: str
    disk_id: str
    cluster_id: str = ""
    """Empty until the node has seen a cluster's ring."""


@contextmanager
def claimed(root: Path) -> Iterator[None]:
    """Hold the data folder for this process; it is made if it is missing.

    The claim is a lock of the kernel's, so it ends with the process however that ends.

    Raises:
        ConflictError: another process holds it.
    """
    _make_durable(root)
    with (root / _LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise ConflictError(
                f"{root} is in use by the storage node with process id {lock.read().strip() or 'unknown'}. "
                "Stop it first, or give this node a data folder of its own."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def load_identity(root: Path) -> Identity:
    """Read who the disk in `root` is; an empty disk gets new ids.

    Raises:
        ConflictError: the file cannot be understood. It is never replaced: the ring knows this disk by it.
    """
    path = root / _FILE
    if not path.exists():
        return save_identity(
            root, Identity(node_id=f"node-{secrets.token_hex(4)}", disk_id=secrets.token_hex(16))
        )
    try:
        return Identity.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConflictError(
            f"{path} is damaged: restore it from a backup, or start on an empty disk."
        ) from error


def save_identity(root: Path, identity: Identity) -> Identity:
    """Write `node.json`, whole or not at all, and durable."""
    draft = root / f"{_FILE}.new"
    with draft.open("wb") as file:
        file.write(identity.encode())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(root / _FILE)
    sync_folder(root)
    return identity


def join_cluster(root: Path, identity: Identity, cluster_id: str) -> Identity:
    """Bind the disk to a cluster, for good.

    Raises:
        ConflictError: it belongs to another one.
    """
    if identity.cluster_id == cluster_id:
        return identity
    if identity.cluster_id:
        raise ConflictError(
            f"The disk in {root} belongs to cluster {identity.cluster_id}, but these etcd servers hold "
            f"cluster {cluster_id}. Check the etcd endpoints, or start on an empty disk."
        )
    return save_identity(root, identity.model_copy(update={"cluster_id": cluster_id}))


def _make_durable(folder: Path) -> None:
    if not folder.exists():
        _make_durable(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Make a folder's entries durable.

    Raises:
        OSError: the disk did not take them.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
